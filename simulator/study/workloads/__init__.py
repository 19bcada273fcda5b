"""Workloads as data: what describes one, and presets fitted to traces."""
