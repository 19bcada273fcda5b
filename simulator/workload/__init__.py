"""Workloads: who asks what, when. Presets fitted to public traces, closed loops, trace replay."""
