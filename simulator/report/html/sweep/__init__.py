"""The page of a sweep of ``moesim sweep``."""
