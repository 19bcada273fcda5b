"""Lengths counted as they stream by, in memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.workload.requests import MAX_TOKENS

Ints = NDArray[np.int64]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Quantiles that reports show, by name."""

EXACT_TOKENS = 65_536
"""Up to here every length has a bin of its own."""

_RATIO = 1.001
"""Ends of neighbouring bins beyond: a quantile there is off by 0.1 % at most."""


def _edges() -> Ints:
    """Return the first length of each bin, and one past the last."""
    steps = np.ceil(np.log(MAX_TOKENS / EXACT_TOKENS) / np.log(_RATIO))
    wide = EXACT_TOKENS * _RATIO ** np.arange(1, steps + 1)
    longer = np.minimum(np.ceil(wide), MAX_TOKENS + 1).astype(np.int64)
    return np.unique(np.concatenate([np.arange(1, EXACT_TOKENS + 1), longer, [MAX_TOKENS + 1]]))


_EDGES = _edges()


@dataclass(slots=True)
class CountedLengths:
    """How often each length came.

    Examples
    --------
    >>> counted = CountedLengths()
    >>> counted.add(np.array([5, 7, 7, 100_000]))
    >>> counted.total, counted.mean, counted.quantile([0.5, 1.0]).tolist()
    (4, 25004.75, [7, 100000])
    """

    total: int = 0
    shortest: int = 0
    longest: int = 0
    _sum: int = 0
    _count: Ints = field(default_factory=lambda: np.zeros(_EDGES.size - 1, dtype=np.int64))

    def add(self, tokens: Ints) -> None:
        """Count lengths, tokens, each within 1 and ``MAX_TOKENS``."""
        if not tokens.size:
            return
        low, high = int(tokens.min()), int(tokens.max())
        self.shortest = min(self.shortest or low, low)
        self.longest = max(self.longest, high)
        self.total += tokens.size
        self._sum += int(tokens.sum())
        np.add.at(self._count, np.searchsorted(_EDGES, tokens, side="right") - 1, 1)

    @property
    def mean(self) -> float:
        """Mean length, tokens; exact."""
        return self._sum / self.total

    def bins(self) -> tuple[Ints, Ints, Ints]:
        """Return first length, last length and count of each bin that holds something."""
        used = np.flatnonzero(self._count)
        first, last = _EDGES[used], _EDGES[used + 1] - 1
        return first, np.minimum(last, self.longest), self._count[used]

    def quantile(self, probability: ArrayLike) -> Ints:
        """Return the least lengths whose share of shorter or equal ones is ``probability``."""
        _, last, count = self.bins()
        wanted = np.asarray(probability) * self.total
        found: Ints = last[np.searchsorted(np.cumsum(count), wanted - 1e-9)]
        return found

    def cdf(self) -> tuple[Ints, NDArray[np.float64]]:
        """Return lengths that came, and the share of lengths up to each."""
        _, last, count = self.bins()
        return last, np.cumsum(count) / self.total

    def figures(self) -> dict[str, float]:
        """Return mean, quantiles and longest, tokens, by name."""
        quantiles = self.quantile(list(QUANTILES.values())).tolist()
        return {
            "mean": self.mean,
            **dict(zip(QUANTILES, map(float, quantiles), strict=True)),
            "max": float(self.longest),
        }
