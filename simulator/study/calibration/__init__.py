"""Calibration: fits of models to measurements."""
