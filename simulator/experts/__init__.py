"""Experts: how many a step activates."""
