"""Workload data with provenance (package ``simulator.workloads``)."""
