"""Rates that follow a cycle: arrivals at a mean rate, moved to where the cycle has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.arrivals import ArrivalLaw


@dataclass(frozen=True, slots=True)
class Cycle:
    """A relative rate that repeats, constant within equal steps.

    Parameters
    ----------
    period_s
        Length of the cycle, s.
    rates
        Rate of each step relative to the mean, shape (steps,).
    start
        Where in the cycle a run starts, as a share of it, in [0, 1).

    Examples
    --------
    >>> cycle = Cycle(10.0, np.array([0.5, 1.5]))
    >>> cycle.times_at(np.array([0.0, 2.5, 10.0, 12.5])).tolist()
    [0.0, 5.0, 10.0, 15.0]
    """

    period_s: float
    rates: NDArray[np.float64]
    start: float = 0.0

    def times_at(self, steady_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when as much has come as would have at the mean rate, s: ``M^{-1}``."""
        elapsed = np.concatenate([[0.0], np.cumsum(self.rates) / self.rates.sum()])
        grid = np.linspace(0.0, 1.0, elapsed.size)
        before = float(np.interp(self.start, grid, elapsed))
        periods, share = np.divmod(steady_s / self.period_s + before, 1.0)
        times_s: NDArray[np.float64] = periods + np.interp(share, elapsed, grid) - self.start
        return times_s * self.period_s


def cycled(law: ArrivalLaw, cycle: Cycle, streams: Streams) -> Iterator[NDArray[np.float64]]:
    """Yield the arrivals of a law, s, moved by a cycle.

    So bursts keep their place in the sequence, and are shorter where the load is high.
    """
    return map(cycle.times_at, law.times(streams))
