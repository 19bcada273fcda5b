"""Time rescaling: the points of a unit Poisson process, moved to where a fluctuating rate has them.

With ``Lambda(t)`` the integral of the rate and ``S_n`` the points of a Poisson process of unit
rate, ``Lambda^{-1}(S_n)`` are the arrivals of a Poisson process of that rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.requests import BLOCK_REQUESTS


class Stretch(Protocol):
    """A stretch of the path of a rate, relative to its mean."""

    @property
    def integral_s(self) -> NDArray[np.float64]:
        """Integral of the relative rate since the start of the run, nondecreasing, s."""
        ...

    def times_at(self, integral_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when the integral reaches the given values, s."""
        ...


def unit_poisson(streams: Streams) -> Iterator[NDArray[np.float64]]:
    """Yield the points of a Poisson process of unit rate.

    Block ``b`` takes its gaps from block ``b`` of the stream ``arrivals``.
    """
    clock = 0.0
    for block in count():
        gaps = streams.block("arrivals", block).standard_exponential(BLOCK_REQUESTS)
        points = clock + np.cumsum(gaps)
        clock = float(points[-1])
        yield points


def rescaled(
    stretches: Iterator[Stretch], rate: float, streams: Streams
) -> Iterator[NDArray[np.float64]]:
    """Yield the arrivals of a rate that follows a path, s, in blocks.

    Unit gaps and path come from streams of their own, so that a faster rate moves through the same
    ups and downs. Carried from block to block are the unit clock and the place in the path.

    Parameters
    ----------
    stretches
        The path, without end, each stretch going on where the last one ended.
    rate
        Mean rate, requests/s.
    streams
        The random streams of the replication.
    """
    stretch = next(stretches)
    last_s = 0.0
    for clock in unit_poisson(streams):
        wanted = clock / rate
        times_s = np.empty_like(wanted)
        done = 0
        while done < wanted.size:
            end = int(np.searchsorted(wanted, stretch.integral_s[-1]))
            times_s[done:end] = stretch.times_at(wanted[done:end])
            if end < wanted.size:
                stretch = next(stretches)
            done = end
        # Roots carry errors of 1e-12 of a stretch; order must not.
        np.maximum.accumulate(np.maximum(times_s, last_s), out=times_s)
        last_s = float(times_s[-1])
        yield times_s
