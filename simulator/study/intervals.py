"""Linearised confidence intervals of what a least-squares fit determines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from simulator.study.identify.rank import ZERO

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
"""Level of the intervals."""

_OUTSIDE = 1e-4
"""A combination counts as determined if at most this share of it lies in the null space."""


class Determined:
    """The combinations of unknowns that residuals determine, to first order.

    With residuals of equal variance and Jacobian J, a combination c of the unknowns is determined
    if it is orthogonal to the null space of J, and its variance is ``v c' (J'J)^+ c`` with
    ``v = sum of squares / (m - rank)``.

    Parameters
    ----------
    slopes
        J, residuals in units of their noise, shape (m, n).
    units
        Changes of the unknowns that are alike in weight, > 0, shape (n,).
    """

    def __init__(self, slopes: Floats, units: Floats) -> None:
        count, self._units = len(units), units
        padded = np.vstack([slopes * units, np.zeros((count, count))])  # at least n rows
        _, values, right = np.linalg.svd(padded, full_matrices=False)
        self.rank = int(np.sum(values > ZERO * values[0])) if values.size and values[0] > 0 else 0
        self._values, self._right = values[: self.rank], right[: self.rank]
        self.freedom = len(slopes) - self.rank

    def holds(self, change: Floats) -> bool:
        """Say whether a combination is determined.

        Parameters
        ----------
        change
            Its derivatives by the unknowns, shape (n,).
        """
        scaled = change * self._units
        outside = scaled - self._right.T @ (self._right @ scaled)
        return bool(np.linalg.norm(outside) <= _OUTSIDE * np.linalg.norm(scaled))

    def half_width(self, change: Floats, sum_of_squares: float) -> float:
        """Return half the width of a combination's interval at level `CONFIDENCE`.

        Infinite if the combination is not determined, or no more values than unknowns are there.

        Parameters
        ----------
        change
            As in `holds`.
        sum_of_squares
            Of the residuals at the solution.
        """
        if self.freedom < 1 or not self.holds(change):
            return math.inf
        variance = sum_of_squares / self.freedom
        along = self._right @ (change * self._units) / self._values
        quantile = float(student.ppf(0.5 + CONFIDENCE / 2, self.freedom))
        return quantile * math.sqrt(variance) * float(np.linalg.norm(along))


def half_widths(jacobian: Floats, residuals: Floats) -> list[float | None]:
    """Return half of the interval of each parameter of a least-squares fit.

    Parameters
    ----------
    jacobian, residuals
        At the solution, shapes (m, n) and (m,).

    Returns
    -------
    list of float or None
        None for a parameter that the residuals do not determine, and for all where no residual is
        left over.

    Examples
    --------
    >>> (width,) = half_widths(np.ones((2, 1)), np.array([-1.0, 1.0]))
    >>> round(width, 4)
    12.7062
    """
    felt = np.linalg.norm(jacobian, axis=0)
    told = Determined(jacobian, 1.0 / np.where(felt > 0.0, felt, 1.0))
    squares = float(residuals @ residuals)
    widths = (told.half_width(parameter, squares) for parameter in np.eye(len(felt)))
    return [width if math.isfinite(width) else None for width in widths]
