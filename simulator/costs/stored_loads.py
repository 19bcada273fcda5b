"""Loads of a replica that brings experts from host memory: drawn, run through a store, priced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.costs.offload import ExpertTransfers
from simulator.errors import InvariantError
from simulator.experts.loads import RankLoads, rank_loads
from simulator.experts.offload import ExpertStore, Transfers
from simulator.experts.placement import contiguous
from simulator.experts.pool import PoolWalk


class StoredLoads:
    """Loads of steps (`experts.draws.LoadDraws`) whose experts a store brings.

    Every GPU holds the same experts, or its share of them, so that there is one rank. Within a step
    the prompt tokens count as the first to use their experts: what decodes comes again.

    Parameters
    ----------
    walk
        Routes of the steps.
    store
        The resident set of the replica.
    transfers
        Prices what crosses the host link.
    drafts
        What a drafter sees of every token of the pool, shape (tokens, d); None: nothing.
    """

    ranks = 1

    def __init__(
        self,
        walk: PoolWalk,
        store: ExpertStore,
        transfers: ExpertTransfers,
        drafts: NDArray[np.float64] | None = None,
    ) -> None:
        self._walk, self._store, self._transfers = walk, store, transfers
        self._drafts = np.empty((len(walk.pool.chosen[0]), 0)) if drafts is None else drafts
        self._placement = contiguous(walk.pool.experts, self.ranks)
        nothing = np.zeros(walk.pool.layers, dtype=np.int64)
        self.brought = Transfers(nothing, nothing, nothing)
        """What crossed the link in the last step."""

    def draw(
        self, requests: int, query_tokens: float, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step, whose missing experts are brought.

        Raises
        ------
        InvariantError
            If the step is cut into parts: it would use its experts twice.
        """
        if parts > 1:
            raise InvariantError(f"a step with experts in host memory is cut into {parts} parts.")
        chosen = self._walk.step(requests, query_tokens, prompt_tokens)
        decoding = chosen.shape[1] - prompt_tokens * self._walk.pool.top_k
        drafts = self._drafts[self._walk.rows]
        self.brought = self._store.step(np.roll(chosen, -decoding, axis=1), drafts)
        return [rank_loads(chosen, self._placement)]

    def passed(self, seconds: float) -> float:
        """Return 0: experts never move to other ranks."""
        del seconds
        return 0.0

    def stall_s(self, seconds: float) -> float:
        """Return by how much a step of so many seconds is longer, waiting for experts, s.

        What hides prefetches is the whole step, drafting and host work included, as if spread
        evenly over its layers.
        """
        return self._transfers.stall_s(self.brought, seconds)
