"""Loads of the ranks, drawn step by step from the routes of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from simulator.experts.loads import RankLoads, spread_loads
from simulator.experts.placement import Placement
from simulator.experts.pool import PoolWalk
from simulator.experts.rebalancing import Rebalancing


class LoadDraws(Protocol):
    """What step costs ask for the loads of the ranks."""

    @property
    def ranks(self) -> int:
        """Ranks that the experts of a layer are spread over."""
        ...

    def draw(
        self, requests: int, query_tokens: float, prompt_tokens: int, parts: int = 1
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

    def stall_s(self, seconds: float) -> float:
        """Return what a step of so many seconds waits for experts in host memory, s."""
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

    def stall_s(self, seconds: float) -> float:
        """Return 0: all experts are on the GPUs."""
        del seconds
        return 0.0

    def passed(self, seconds: float) -> float:
        """Let the time of a step pass; see `LoadDraws`."""
        return self.rebalancing.passed(seconds) if self.rebalancing is not None else 0.0

    def draw(
        self, requests: int, query_tokens: float, prompt_tokens: int, parts: int = 1
    ) -> list[RankLoads]:
        """Return the loads of the next step; see `LoadDraws`."""
        rebalancing = self.rebalancing
        placement = self.placement if rebalancing is None else rebalancing.placement
        counts = self.walk.counts(requests, query_tokens, prompt_tokens, parts)
        if rebalancing is not None:
            rebalancing.see(counts[0])
        return [spread_loads(one, placement) for one in counts]
