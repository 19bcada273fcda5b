"""Served deployments whose latencies were published: read, simulated, compared with a peer."""
