"""Loads of the ranks, drawn step by step from the routes of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.experts.loads import RankLoads, rank_loads
from simulator.experts.placement import Placement
from simulator.experts.pool import PoolWalk
from simulator.experts.rebalancing import Rebalancing

Picked = NDArray[np.unsignedinteger]
"""Experts picked, of shape (layers, copies)."""


class LoadDraws(Protocol):
    """What step costs ask for the loads of the ranks."""

    @property
    def ranks(self) -> int:
        """Ranks that the experts of a layer are spread over."""
        ...

    def draw(
        self, requests: int, query_tokens: int, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step, and of each part of its batch.

        Parameters
        ----------
        requests, query_tokens, prompt_tokens
            As in `pool.PoolWalk.step`.
        parts
            Batches that the step is cut into, as equal as requests and prompt tokens allow.

        Returns
        -------
        list of RankLoads
            Of the whole step, then of each part if there are several.
        """
        ...

    def passed(self, seconds: float) -> float:
        """Let the time of a step pass, and return what moving experts takes behind it, s."""
        ...


@dataclass(frozen=True, slots=True)
class WalkedLoads:
    """Loads of one replica, whose requests walk along a pool.

    Parameters
    ----------
    walk
        Routes of its steps.
    placement
        Where the experts lie, at first if they are placed anew.
    rebalancing
        Places them anew; None: they stay.
    """

    walk: PoolWalk
    placement: Placement
    rebalancing: Rebalancing | None = None

    @property
    def ranks(self) -> int:
        """Ranks that the experts of a layer are spread over."""
        return self.placement.ranks

    def passed(self, seconds: float) -> float:
        """Let the time of a step pass; see `LoadDraws`."""
        return self.rebalancing.passed(seconds) if self.rebalancing is not None else 0.0

    def draw(
        self, requests: int, query_tokens: int, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step; see `LoadDraws`."""
        chosen = self.walk.step(requests, query_tokens, prompt_tokens)
        rebalancing = self.rebalancing
        placement = self.placement if rebalancing is None else rebalancing.placement
        batches = self._cut(chosen, requests, query_tokens, prompt_tokens, parts)
        found = [rank_loads(batch, placement) for batch in batches]
        if rebalancing is not None:
            rebalancing.see(found[0].expert_tokens)
        return found

    def _cut(
        self, chosen: Picked, requests: int, query_tokens: int, prompt_tokens: int, parts: int
    ) -> list[Picked]:
        """Return the routes of a step, and of each part of it if there are several."""
        if parts == 1:
            return [chosen]
        top_k, decoding = self.walk.pool.top_k, requests * query_tokens
        cuts = [requests * part // parts * query_tokens for part in range(parts + 1)]
        prompts = [decoding + prompt_tokens * part // parts for part in range(parts + 1)]
        batches = [chosen]
        for part in range(parts):
            spans = [slice(cut[part] * top_k, cut[part + 1] * top_k) for cut in (cuts, prompts)]
            batches.append(np.concatenate([chosen[:, span] for span in spans], axis=1))
        return batches
