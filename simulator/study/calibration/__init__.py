"""Calibration of MoESD's ten-parameter model to measurements."""
