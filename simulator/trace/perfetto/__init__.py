"""A run as a timeline in Chrome's trace format, for Perfetto and other trace viewers."""
