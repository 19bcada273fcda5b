"""Loads of the ranks, drawn step by step from the routes of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.experts.loads import RankLoads, rank_loads
from simulator.experts.placement import Placement
from simulator.experts.pool import PoolWalk


class LoadDraws(Protocol):
    """What step costs ask for the loads of the ranks."""

    ranks: int
    """Ranks that the experts of a layer are spread over."""

    def draw(
        self, requests: int, query_tokens: int, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step, of each part of its batch.

        Parameters
        ----------
        requests, query_tokens, prompt_tokens
            As in `pool.PoolWalk.step`.
        parts
            Batches that the step is cut into, as equal as requests and prompt tokens allow; a part
            may be empty.
        """
        ...


@dataclass(frozen=True, slots=True)
class WalkedLoads:
    """Loads of one replica, whose requests walk along a pool.

    Parameters
    ----------
    walk
        Routes of its steps.
    placement
        Where the experts lie.
    """

    walk: PoolWalk
    placement: Placement

    @property
    def ranks(self) -> int:
        """Ranks that the experts of a layer are spread over."""
        return self.placement.ranks

    def draw(
        self, requests: int, query_tokens: int, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step; see `LoadDraws`."""
        chosen = self.walk.step(requests, query_tokens, prompt_tokens)
        if parts == 1:
            return [rank_loads(chosen, self.placement)]
        top_k, decoding = self.walk.pool.top_k, requests * query_tokens
        cuts = [requests * part // parts * query_tokens for part in range(parts + 1)]
        prompts = [decoding + prompt_tokens * part // parts for part in range(parts + 1)]
        found = []
        for part in range(parts):
            spans = [slice(cut[part] * top_k, cut[part + 1] * top_k) for cut in (cuts, prompts)]
            own = np.concatenate([chosen[:, span] for span in spans], axis=1)
            found.append(rank_loads(own, self.placement))
        return found
