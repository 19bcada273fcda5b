"""How published end-to-end measurements are read, as data."""
