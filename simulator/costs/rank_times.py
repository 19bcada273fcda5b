"""Times of the routed experts by rank and layer, looked up in arrays.

A step of 48 layers over 8 ranks asks for 384 times. Each depends on two counts, the token copies of
the rank and its active experts; a table of both, filled where it is asked, answers all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.costs.curves import LEADING_BITS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_OCTAVES = 24
"""Doublings of the token copies that the table reaches."""


def _nodes() -> Floats:
    """Return the counts at which times are priced: as dense as the segments of `curves.Curve`."""
    few = 1 << LEADING_BITS
    steps = few // 2
    octaves = [
        (few << octave) * (1 + np.arange(1, steps + 1) / steps) for octave in range(_OCTAVES)
    ]
    return np.concatenate([np.arange(few + 1, dtype=float), *octaves])


class RankTimes:
    """The time of one layer's experts on a rank, linear in its copies between priced counts.

    Parameters
    ----------
    price
        Seconds of token copies and active experts, both >= 1.
    most_active
        Most experts that a rank holds.

    Examples
    --------
    >>> times = RankTimes(lambda copies, active: copies + 100.0 * active, most_active=2)
    >>> times.at(np.array([[0.0, 3.0, 33.0]]), np.array([[0, 2, 1]])).tolist()
    [[0.0, 203.0, 133.0]]
    """

    def __init__(self, price: Callable[[float, int], float], most_active: int) -> None:
        self._price = price
        self._nodes = _nodes()
        self._table = np.full((most_active + 1, len(self._nodes)), np.nan)
        self._table[0] = 0.0
        self.priced = 0
        """Prices asked for so far."""

    def at(self, copies: Floats, active: Ints) -> Floats:
        """Return the times of ranks, s; a rank without copies takes none.

        Parameters
        ----------
        copies, active
            Token copies and active experts, of one shape.
        """
        lower = np.searchsorted(self._nodes, copies, side="right") - 1
        first, last = self._at_node(active, lower), self._at_node(active, lower + 1)
        start = self._nodes[lower]
        share = (copies - start) / (self._nodes[lower + 1] - start)
        return np.asarray(first + share * (last - first))

    def _at_node(self, active: Ints, node: Ints) -> Floats:
        """Return the table's values, pricing those that are missing."""
        found = self._table[active, node]
        missing = np.isnan(found)
        if missing.any():
            for pair in {*zip(active[missing].tolist(), node[missing].tolist(), strict=True)}:
                # Fewer copies than experts cannot be; the table needs a value beside them.
                copies = max(float(self._nodes[pair[1]]), float(pair[0]))
                self._table[pair] = self._price(copies, pair[0])
                self.priced += 1
            found = self._table[active, node]
        return np.asarray(found)
