"""Hardware: GPUs and links as data."""
