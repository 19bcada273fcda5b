"""Microbenchmarks: what kernels cost on the user's own machine.

What is timed stands in `plan`, how in `runner`, on what in `device` and its PyTorch forms
(`torch_device`); `writing` makes kernel tables and a GPU spec of it.
"""
