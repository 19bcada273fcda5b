"""Commands: one module each, imported when called."""
