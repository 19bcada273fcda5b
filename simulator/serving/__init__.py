"""Serving: the discrete-event core."""
