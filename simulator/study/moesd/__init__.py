"""MoESD's published figures (arXiv 2505.19645), reproduced."""
