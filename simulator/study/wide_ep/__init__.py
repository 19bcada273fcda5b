"""Wide expert parallelism: throughput beside what was reported, and speculation as EP grows."""
