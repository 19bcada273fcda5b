"""Tenants of a classifier endpoint beside LLM replicas: benign clients, and attackers in closed loop."""
