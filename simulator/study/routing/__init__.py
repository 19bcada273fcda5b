"""Sampled routes against what was measured, and placements of experts under them."""
