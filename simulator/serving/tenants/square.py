"""The Square attack: squares of pixels at the bounds of the ball, kept where they help."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.serving.tenants.attacks import ATTACKS, Attack, Reach, Search
from simulator.serving.tenants.balls import LINF, project

Floats = NDArray[np.float64]

FIRST_SHARE = 0.05
"""Share of the pixels that the first squares have (default of BlackboxBench)."""

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the budget after which squares have half as many pixels (1912.00049, section 3)."""


def side_pixels(asked: int, budget: int, pixels: int) -> int:
    """Return the side of a square.

    Parameters
    ----------
    asked, budget
        Queries so far, and in all.
    pixels
        Of the whole picture.

    Examples
    --------
    >>> [side_pixels(asked, 10_000, 4096) for asked in (0, 60, 9000)]
    [14, 7, 1]
    """
    halved = sum(asked > share * budget for share in HALVINGS)
    return max(1, round(math.sqrt(FIRST_SHARE * pixels / 2.0**halved)))


def square_search(start: Floats, reach: Reach, generator: np.random.Generator) -> Search:
    """Set random squares to either bound of the ball (Andriushchenko et al., 1912.00049).

    It starts from vertical stripes of either bound. One query a step; the best margin so far is
    remembered, not asked again. Pictures are square.
    """
    width = math.isqrt(start.size)
    apart = np.tile(reach.radius * generator.choice((-1.0, 1.0), width), width)
    point = project(start + apart, start, reach.radius, LINF)
    (best,) = yield point[None]
    asked = 1
    while True:
        side = side_pixels(asked, reach.budget, start.size)
        row, column = generator.integers(0, width - side + 1, 2)
        sign = reach.radius if generator.random() < 0.5 else -reach.radius
        tried = point.copy().reshape(width, width)
        patch = np.s_[row : row + side, column : column + side]
        tried[patch] = np.minimum(np.maximum(start.reshape(width, width)[patch] + sign, 0.0), 1.0)
        tried = tried.reshape(-1)
        if np.array_equal(tried, point):
            continue  # it is so already: nothing to ask
        (margin,) = yield tried[None]
        asked += 1
        if margin < best:
            point, best = tried, margin


@ATTACKS.register("square")
def square() -> Attack:
    """Return the attack of `square_search`."""
    return Attack(square_search, (LINF,), frozenset())
