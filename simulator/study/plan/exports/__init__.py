"""A plan for others: commands that serve it, JSON and Parquet."""
