"""Draft length as control of a hidden regime: what learning it is worth, and what it costs."""
