"""Intervals of fitted numbers, from the Jacobian of their residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

CONFIDENCE = 0.95


def half_widths(
    jacobian: NDArray[np.float64], residuals: NDArray[np.float64]
) -> list[float | None]:
    """Return half of the 95 % interval of each parameter of a least-squares fit.

    ``t(0.975, n - p) sqrt(s^2 (J^T J)^-1)`` with ``s^2`` the sum of squared residuals over n - p.

    Parameters
    ----------
    jacobian, residuals
        At the solution, shapes (n, p) and (n,).

    Returns
    -------
    list of float or None
        None for all where no residual is left over (n = p), or the Jacobian has not full rank.

    Examples
    --------
    >>> (width,) = half_widths(np.ones((2, 1)), np.array([-1.0, 1.0]))
    >>> round(width, 4)
    12.7062
    """
    rows, columns = jacobian.shape
    freedom = rows - columns
    if freedom < 1 or np.linalg.matrix_rank(jacobian) < columns:
        return [None] * columns
    covariance = np.linalg.inv(jacobian.T @ jacobian) * float(residuals @ residuals) / freedom
    factor = float(student.ppf((1 + CONFIDENCE) / 2, freedom))
    return [factor * float(np.sqrt(entry)) for entry in np.diag(covariance)]
