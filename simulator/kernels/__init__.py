"""Kernel cost tables: what the kernels of one GPU were measured to cost, and how to ask.

`tables.KernelTables` answers questions; `importer.import_tables` makes the tables.
"""
