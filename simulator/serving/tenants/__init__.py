"""Tenants of a classifier endpoint beside LLM replicas: users, and attackers in closed loop."""
