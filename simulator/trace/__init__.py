"""The trace: what a run writes down, and every number that is read back from it."""
