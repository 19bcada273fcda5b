"""Hydra config groups (package ``simulator.conf``)."""
