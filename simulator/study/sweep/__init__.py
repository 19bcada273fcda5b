"""Sweeps: many paired runs over the axes of a grid, resumable, as one Parquet dataset."""
