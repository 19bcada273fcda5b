"""The page of a run of ``moesim simulate``."""
