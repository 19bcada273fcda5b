"""Kernel tables and routing laws against what they were not made from."""
