"""A regular grid over beliefs.

A belief b over S states is told by its partial sums ``c_i = b_1 + ... + b_i``, which rise from 0
to 1. Points whose partial sums are multiples of 1/n are the grid. Rounding partial sums keeps
their order, so it always leads to a point of the grid, off by at most 1/n in every state. In the
same coordinates the grid cuts the simplex into smaller simplices (Freudenthal), in each of which a
function is interpolated linearly from its S corners.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_MOST_CELLS = 2_000_000
"""A grid above this is a mistake: memory and planning time grow with it."""


class Corners(NamedTuple):
    """Where beliefs lie between points of a grid.

    Parameters
    ----------
    points
        Indices of the S corners around each belief, shape [..., S].
    weights
        ``belief = sum_k weights_k points_k``; not negative, sum 1; shape [..., S].
    """

    points: Integers
    weights: Array


class BeliefGrid:
    """All beliefs that are multiples of 1/n in every state.

    Parameters
    ----------
    states
        Number of states, S >= 1.
    divisions
        n, >= 1: the step of the grid is 1/n, and it has ``C(n + S - 1, S - 1)`` points.

    Raises
    ------
    ConfigError
        If the grid would have more than two million cells.

    Examples
    --------
    >>> grid = BeliefGrid(states=2, divisions=4)
    >>> grid.points.tolist()
    [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]
    >>> int(grid.nearest([0.55, 0.45]))
    2
    """

    def __init__(self, states: int, divisions: int) -> None:
        if states < 1 or divisions < 1 or (divisions + 1) ** (states - 1) > _MOST_CELLS:
            raise ConfigError(
                f"a belief grid of {states} states and {divisions} divisions is out of range: it "
                f"needs 1 or more of both, and (divisions + 1)^(states - 1) <= {_MOST_CELLS:,}."
            )
        self.states, self.divisions = states, divisions
        rising = combinations_with_replacement(range(divisions + 1), states - 1)
        shape = (comb(divisions + states - 1, states - 1), states - 1)
        steps = np.array(list(rising), np.int64).reshape(shape)
        self.strides = (divisions + 1) ** np.arange(states - 2, -1, -1, dtype=np.int64)
        """What a unit of each of the S - 1 partial sums adds to the number of a cell."""
        self.point_of_cell = np.zeros((divisions + 1) ** (states - 1), np.int64)
        """Index of a point by the number of its cell; 0 where no belief rounds to."""
        self.point_of_cell[steps @ self.strides] = np.arange(len(steps))
        edges = np.pad(steps, ((0, 0), (1, 1)), constant_values=((0, 0), (0, divisions)))
        self.points: Array = np.diff(edges, axis=1) / divisions
        """The beliefs, shape [points, S]."""

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, beliefs: object) -> Integers:
        """Return the index of the point that each belief [..., S] rounds to."""
        sums = np.cumsum(np.asarray(beliefs, float), axis=-1)[..., :-1]
        steps = np.rint(sums * self.divisions).astype(np.int64)
        return np.asarray(self.point_of_cell[steps @ self.strides])

    def corners(self, beliefs: object) -> Corners:
        """Return the corners around each belief [..., S] and their weights.

        With ``x = n c``, its whole part is one corner; the others follow by adding 1 to one
        partial sum after the other, that with the largest fraction first.
        """
        sums = np.cumsum(np.asarray(beliefs, float), axis=-1)[..., :-1] * self.divisions
        sums = np.minimum(np.maximum(sums, 0.0), self.divisions)
        whole = np.minimum(np.floor(sums), self.divisions - 1.0).astype(np.int64)
        fraction = sums - whole
        # Of equal fractions the later partial sum rises first, so that sums stay in order.
        order = self.states - 2 - np.argsort(-fraction[..., ::-1], axis=-1, kind="stable")
        falling = np.take_along_axis(fraction, order, axis=-1)
        one = np.ones((*falling.shape[:-1], 1))
        drops = np.concatenate([one, falling, 0.0 * one], axis=-1)
        first = (whole @ self.strides)[..., None]
        cells = np.concatenate([first, self.strides[order]], axis=-1).cumsum(axis=-1)
        return Corners(self.point_of_cell[cells], -np.diff(drops, axis=-1))
