"""Rank correlations of pairs as they stream by, from counts on a logarithmic grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CELLS, _PER_DOUBLING, _LEAST = 512, 12, 2.0**-20
"""The grid: so many cells a side, each 6 % wide, from a microsecond (or a token) to 10^12."""


@dataclass(slots=True)
class Pairs:
    """How often pairs of values fell into each cell of a grid.

    Examples
    --------
    >>> pairs = Pairs()
    >>> pairs.add(np.array([1.0, 10.0, 100.0]), np.array([7.0, 5.0, 3.0]))
    >>> round(pairs.spearman(), 6)
    -1.0
    """

    _count: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((_CELLS, _CELLS), dtype=np.int64)
    )

    def add(self, first: Floats, second: Floats) -> None:
        """Count pairs of values >= 0, elementwise."""
        np.add.at(self._count, (_cell(first), _cell(second)), 1)

    def spearman(self) -> float | None:
        """Return Spearman's rank correlation, values of one cell tied; None if one is constant.

        The correlation of mid-ranks, which is what ties are given. The grid moves it by less than
        0.01 where values spread over more than a few cells.
        """
        total = self._count.sum()
        ranks = []
        for axis in (1, 0):
            counts = self._count.sum(axis=axis)
            middle = np.cumsum(counts) - counts / 2 - total / 2
            ranks.append((middle, float(counts @ middle**2)))
        (first, first_square), (second, second_square) = ranks
        if not first_square or not second_square:
            return None
        return float(first @ self._count @ second) / float(np.sqrt(first_square * second_square))


def _cell(values: Floats) -> NDArray[np.int64]:
    steps = np.log2(np.maximum(values, _LEAST) / _LEAST) * _PER_DOUBLING
    return np.minimum(steps.astype(np.int64), _CELLS - 1)


@dataclass(slots=True)
class Serial:
    """Pairs of consecutive values of a sequence, across the ends of blocks.

    Examples
    --------
    >>> serial = Serial()
    >>> for block in (np.array([1.0, 2.0]), np.array([4.0])):
    ...     serial.add(block)
    >>> serial.pairs.spearman()
    1.0
    """

    pairs: Pairs = field(default_factory=Pairs)
    _last: float | None = None

    def add(self, values: Floats) -> None:
        """Count the next values of the sequence, >= 0."""
        if self._last is not None:
            values = np.concatenate([[self._last], values])
        if values.size:
            self.pairs.add(values[:-1], values[1:])
            self._last = float(values[-1])
