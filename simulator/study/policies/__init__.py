"""Draft-length policies against the best fixed draft length, paired, in goodput."""
