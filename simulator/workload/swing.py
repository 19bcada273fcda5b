r"""Load that swings by the hour: a period between a quiet trough and a busy peak.

The rate at time t is ``rate * m(t)`` with ``m(t) = exp(-k cos(2 pi t / P)) / I0(k)``, a von Mises
density scaled to mean one. Its one parameter k follows from the peak, ``m(P/2) = exp(k) / I0(k)``;
the trough follows from it, ``m(0) = exp(-k) / I0(k)``. That shape is right at both ends of the
traces published with DynamoLLM (Azure, May 2024; J. Stojkovic et al., HPCA 2025), whose rates in
windows of ten minutes peak at 1.71 (conversation) and 3.17 (code) times their mean: their troughs
are 0.45 and 0.09 times the mean, the shape has 0.48 and 0.07.

A swing warps the time of another law (`cycles`): with ``M`` the integral of m, an arrival at u
comes at ``M^{-1}(u)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.arrivals import ArrivalLaw
from simulator.workload.config import SwingConfig
from simulator.workload.cycles import Cycle, cycled

STEPS = 1440
"""Steps of a period within which the rate is taken as constant: the minutes of a day."""

_HALVINGS = 60
"""Bisection to the last digit of a float."""


@dataclass(frozen=True)
class Swinging:
    """An arrival law whose rate swings; a run starts at the trough.

    Parameters
    ----------
    law
        Arrivals at the mean rate.
    swing
        Period and peak.

    Examples
    --------
    >>> from simulator.workload.arrivals import Poisson
    >>> law = Swinging(Poisson(2.0), SwingConfig(period_s=3600.0, peak_to_mean=1.71))
    >>> round(law.trough_to_mean, 2)
    0.48
    """

    law: ArrivalLaw
    swing: SwingConfig

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        steady = self.law.assumption.replace("a constant", "a mean of")
        return (
            f"{steady}; the rate swings with a period of {self.swing.period_s:g} s "
            f"between {self.trough_to_mean:.2f} and {self.swing.peak_to_mean:g} times that, the "
            f"shape of a von Mises density, and a run starts at the trough"
        )

    @property
    def trough_to_mean(self) -> float:
        """Lowest rate over mean rate, ``exp(-k) / I0(k)``."""
        return float(np.exp(-2.0 * self._k) / scipy.special.ive(0, self._k))

    @cached_property
    def _k(self) -> float:
        """Concentration with the wanted peak, ``exp(k) / I0(k)``, by bisection: it rises with k."""
        low, high = 0.0, 1e4
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if 1.0 / scipy.special.ive(0, middle) < self.swing.peak_to_mean:
                low = middle
            else:
                high = middle
        return low

    @property
    def cycle(self) -> Cycle:
        """The swing, from its trough."""
        middles = (np.arange(STEPS) + 0.5) / STEPS
        density = np.exp(-self._k * (1.0 + np.cos(2 * np.pi * middles)))
        return Cycle(self.swing.period_s, density / density.mean())

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Return arrival times, s, block after block."""
        return cycled(self.law, self.cycle, streams)
