"""Which experts the tokens of a cell choose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.microbench.cells import Cell

_SEED = 0
"""Draws of uniform routing are the same in every run."""


def chosen_experts(cell: Cell) -> NDArray[np.int64]:
    """Return the experts of every token, int64[tokens, top_k], distinct within a token.

    Examples
    --------
    >>> keys = {"experts": 4, "top_k": 2, "tokens": 3}
    >>> chosen_experts(Cell("experts", "bfloat16", keys)).tolist()
    [[0, 1], [2, 3], [0, 1]]
    """
    experts, top_k, tokens = (cell.keys[name] for name in ("experts", "top_k", "tokens"))
    if cell.routing == "balanced":
        return (np.arange(tokens * top_k) % experts).reshape(tokens, top_k)
    scores = np.random.default_rng([_SEED, tokens]).random((tokens, experts))
    return np.argsort(scores, axis=1)[:, :top_k]


def distinct(cell: Cell) -> int:
    """Count the distinct experts that the tokens of a cell touch."""
    return len(np.unique(chosen_experts(cell)))
