"""Hardware: GPUs as data."""
