"""Where an attacker may go: a ball around the picture it attacks, within the range of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LINF, L2 = "linf", "l2"

NORMS = (LINF, L2)
"""Norms that a radius may be of."""


def distance(points: Floats, centre: Floats, norm: str) -> Floats:
    """Return how far points are from a centre, in a norm; shape of ``points`` less the last axis.

    Examples
    --------
    >>> points = np.array([[0.3, 0.4]])
    >>> distance(points, np.zeros(2), "linf").tolist(), distance(points, np.zeros(2), "l2").tolist()
    ([0.4], [0.5])
    """
    apart = points - centre
    found = np.abs(apart).max(axis=-1) if norm == LINF else np.sqrt((apart * apart).sum(axis=-1))
    return np.asarray(found)


class Ball:
    """A ball around a picture, within the range of pixels.

    Parameters
    ----------
    centre
        Pixels from 0 to 1, shape (d,).
    radius, norm
        Of the ball.

    Examples
    --------
    >>> Ball(np.array([0.5, 0.05]), 0.1, "linf").project(np.array([0.9, -0.9])).tolist()
    [0.6, 0.0]
    """

    def __init__(self, centre: Floats, radius: float, norm: str) -> None:
        self._centre, self._radius, self._norm = centre, radius, norm
        self.bottom = np.maximum(centre - radius, 0.0)
        """Least value of each pixel."""
        self.top = np.minimum(centre + radius, 1.0)
        """Largest."""

    def project(self, point: Floats) -> Floats:
        """Return a point of the ball near another.

        For ``linf`` it is the nearest. For ``l2`` the point is pulled to the ball, then into the
        range of pixels, which never moves it away from a centre in that range.
        """
        if self._norm == LINF:
            return np.minimum(np.maximum(point, self.bottom), self.top)
        apart = point - self._centre
        length = float(np.sqrt(apart @ apart))
        if length > self._radius:
            apart *= self._radius / length
        return np.minimum(np.maximum(self._centre + apart, 0.0), 1.0)


def downhill(slopes: Floats, norm: str) -> Floats:
    """Return the direction of steepest descent among those of length one in a norm.

    Examples
    --------
    >>> slopes = np.array([3.0, -4.0])
    >>> downhill(slopes, "linf").tolist(), downhill(slopes, "l2").tolist()
    ([-1.0, 1.0], [-0.6, 0.8])
    """
    if norm == LINF:
        return -np.sign(slopes)
    length = float(np.sqrt(slopes @ slopes))
    return -slopes / length if length else np.zeros_like(slopes)
