"""The page of a plan of ``moesim plan``."""
