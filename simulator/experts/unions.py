"""Distinct experts of a step, counted on pooled routes.

Requests are independent of each other given what is popular. So if a window of m consecutive
tokens of one request touches expert e of layer l with chance ``P(l, e; m)``, a step of B requests
with q tokens each beside p prompt tokens touches
``N = mean_l sum_e 1 - (1 - P(l, e; q))^B (1 - P'(l, e; p))`` experts of a layer. P is counted on
the tokens that decode, P' on the heads of prompts.
"""

from __future__ import annotations

import math
from bisect import bisect
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.experts.pool import RoutePool
from simulator.experts.routes import Routes

Floats = NDArray[np.float64]

_LONGEST = 512
"""Prompt tokens up to which windows are counted; more are several such prompts."""

_COUNTED = (1, 2, *(count for power in range(9) for count in (3 << power, 4 << power)))
"""Prompt tokens at which windows are counted, two to the octave; linear between."""


class PoolUnions:
    """How many distinct experts the steps of walks along some routes touch.

    Parameters
    ----------
    routes
        The routes. What windows of a length touch is counted once, when it is asked for.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._missed = lru_cache(maxsize=64)(self._count_missed)
        self._missed_by_prompt = lru_cache(maxsize=64)(self._count_missed_by_prompt)

    def distinct(self, requests: float, query_tokens: float, prompt_tokens: float) -> float:
        """Return the expected distinct experts of a step, mean over layers.

        Parameters
        ----------
        requests, query_tokens, prompt_tokens
            As in ``RoutingLaw.independent_tokens``; fractions are interpolated.
        """
        missed = self._decode(query_tokens) ** requests * self._prompt(prompt_tokens)
        return float((1.0 - missed).sum(axis=1).mean())

    def _decode(self, tokens: float) -> Floats:
        few = math.floor(tokens)
        if tokens == few:
            return self._missed(few)
        return _between(self._missed(few), self._missed(few + 1), tokens - few)

    def _prompt(self, tokens: float) -> Floats:
        whole, rest = divmod(tokens, _LONGEST)
        missed = self._head(rest)
        return missed * self._missed_by_prompt(_LONGEST) ** whole if whole else missed

    def _head(self, tokens: float) -> Floats:
        if tokens <= 1:  # less than one token is a chance of one
            return _between(np.ones(1), self._missed_by_prompt(1), tokens)
        place = bisect(_COUNTED, tokens) - 1
        few, more = _COUNTED[place : place + 2]
        share = (tokens - few) / (more - few)
        return _between(self._missed_by_prompt(few), self._missed_by_prompt(more), share)

    def _count_missed(self, tokens: int) -> Floats:
        """Return ``1 - P(l, e; m)`` over all windows of so many tokens within a sequence."""
        pool = self._routes.decode
        if tokens == 0:
            return np.ones((pool.layers, pool.experts))
        heads = [
            np.arange(start, start + max(length - tokens, 0) + 1, tokens)
            for start, length in zip(pool.starts.tolist(), pool.lengths.tolist(), strict=True)
        ]
        return 1.0 - touched(pool, np.concatenate(heads), tokens)

    def _count_missed_by_prompt(self, tokens: int) -> Floats:
        """Return ``1 - P'(l, e; m)`` over prompts from the head of each sequence on."""
        return 1.0 - touched(self._routes.prompts, self._routes.prompts.starts, tokens)


def _between(few: Floats, more: Floats, share: float) -> Floats:
    return few + share * (more - few)


def touched(pool: RoutePool, heads: NDArray[np.int64], tokens: int) -> Floats:
    """Return the share of windows that touch each expert of each layer.

    Parameters
    ----------
    pool
        The routes; a window that reaches their end goes on at their beginning.
    heads
        First token of each window.
    tokens
        Tokens of a window.

    Returns
    -------
    ndarray of float, shape (layers, experts)
    """
    rows = (heads[:, None] + np.arange(tokens)) % pool.chosen.shape[1]
    window = np.arange(len(heads))[:, None, None]
    shares = np.empty((pool.layers, pool.experts))
    for layer, chosen in enumerate(pool.chosen):
        found = np.zeros((len(heads), pool.experts), bool)
        found[window, chosen[rows]] = True
        shares[layer] = found.mean(axis=0)
    return shares
