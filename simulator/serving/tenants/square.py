"""The Square attack: squares of pixels at the bounds of the ball, kept where they help."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.serving.tenants.attacks import ATTACKS, Attack, Reach, Search
from simulator.serving.tenants.balls import LINF

Floats = NDArray[np.float64]

FIRST_SHARE = 0.05
"""Share of the pixels that the first squares have (default of BlackboxBench)."""

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the budget after which squares have half as many pixels (1912.00049, section 3)."""

DRAWS = 256
"""Squares that are drawn at once."""


def side_pixels(asked: int, budget: int, pixels: int) -> int:
    """Return the side of a square.

    Parameters
    ----------
    asked, budget
        Points asked so far, and in all.
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
    remembered, not asked again. Pictures are square. On small ones little is left of the attack's
    schedule: of 8 x 8 pixels the first squares have 2 x 2, and all are single pixels once 0.1 % of
    the budget is spent.
    """
    width = math.isqrt(start.size)
    ball = reach.ball(start)
    bounds = [bound.reshape(width, width) for bound in (ball.bottom, ball.top)]
    point = np.where(generator.random(width) < 0.5, *bounds)
    (best,) = yield point.reshape(1, -1)
    asked, draws = 1, _triples(generator)
    changes, side = [0.0, *(share * reach.budget for share in HALVINGS), math.inf], 1
    while True:
        if asked > changes[0]:
            changes, side = changes[1:], side_pixels(asked, reach.budget, start.size)
        across, down, which = next(draws)
        row, column = int(down * (width - side + 1)), int(across * (width - side + 1))
        patch = np.s_[row : row + side, column : column + side]
        changed = bounds[int(which * 2)][patch]
        if point[patch].tobytes() == changed.tobytes():
            continue  # it is so already: nothing to ask
        tried = point.copy()
        tried[patch] = changed
        (margin,) = yield tried.reshape(1, -1)
        asked += 1
        if margin < best:
            point, best = tried, margin


def _triples(generator: np.random.Generator) -> Iterator[list[float]]:
    """Draw three uniforms at a time, from blocks of them."""
    while True:
        yield from generator.random((DRAWS, 3)).tolist()


@ATTACKS.register("square")
def square() -> Attack:
    """Return the attack of `square_search`."""
    return Attack(square_search, (LINF,))
