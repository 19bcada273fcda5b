"""Arrivals over the time of a run, and over the hours of a day."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.units import DAY_HOURS, HOUR_S

Floats = NDArray[np.float64]

_BINS, _FIRST_BIN_S = 512, 1.0
"""Most bins held, and the length of the first ones; pairs are merged when they run out."""


@dataclass(slots=True)
class OverTime:
    """Arrivals and tokens in equal bins of time, as few as fit in memory, as fine as they may be.

    Examples
    --------
    >>> over_time = OverTime()
    >>> over_time.add(np.array([0.0, 600.0]), np.array([10, 30]))
    >>> over_time.bin_s, [float(x) for x in over_time.requests if x]
    (2.0, [1.0, 1.0])
    """

    bin_s: float = _FIRST_BIN_S
    requests: Floats = field(default_factory=lambda: np.zeros(_BINS))
    tokens: Floats = field(default_factory=lambda: np.zeros(_BINS))
    hours: Floats = field(default_factory=lambda: np.zeros(DAY_HOURS))
    """Arrivals by hour since the first one, modulo a day."""
    last_s: float = 0.0

    def add(self, since_start_s: Floats, tokens: NDArray[np.int64]) -> None:
        """Count arrivals, s since the first, nondecreasing, and their tokens."""
        if not since_start_s.size:
            return
        self.last_s = float(since_start_s[-1])
        while self.last_s >= self.bin_s * _BINS:
            self.requests, self.tokens = _merged(self.requests), _merged(self.tokens)
            self.bin_s *= 2
        at = (since_start_s / self.bin_s).astype(np.int64)
        self.requests += np.bincount(at, minlength=_BINS)
        self.tokens += np.bincount(at, weights=tokens, minlength=_BINS)
        hour = (since_start_s / HOUR_S).astype(np.int64) % DAY_HOURS
        self.hours += np.bincount(hour, minlength=DAY_HOURS)

    def rate(self) -> tuple[Floats, Floats]:
        """Return the middle of each complete bin, s, and the rate there, requests/s."""
        complete = max(int(self.last_s / self.bin_s), 1)
        middle_s = (np.arange(complete) + 0.5) * self.bin_s
        rate: Floats = self.requests[:complete] / self.bin_s
        return middle_s.astype(np.float64), rate

    def day(self) -> Floats | None:
        """Return the rate in each hour since the start over the mean; None of less than a day.

        Hours count from the first arrival: times of a workload do not say what time of day it was.
        """
        hours = self.last_s / HOUR_S
        if hours < DAY_HOURS:
            return None
        whole, part = divmod(hours, DAY_HOURS)
        seen = np.clip(part - np.arange(DAY_HOURS), 0.0, 1.0) + whole
        rate: Floats = self.hours / seen
        over_mean: Floats = rate / (self.hours.sum() / hours)
        return over_mean


def _merged(bins: Floats) -> Floats:
    pairs = bins.reshape(-1, 2).sum(axis=1)
    return np.concatenate([pairs, np.zeros(pairs.size)])
