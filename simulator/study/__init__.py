"""Studies: paired runs and what follows from them."""
