"""Rows that were left out, what was measured there and what was predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one operator, GPU and dtype, predicted without the group each belongs to.

    Parameters
    ----------
    operator, gpu, dtype
        Which table.
    group
        For every row, the group that was left out with it, in words.
    measured, predicted
        Times of every row, s.
    """

    operator: str
    gpu: str
    dtype: str
    group: NDArray[np.str_]
    measured: Array
    predicted: Array

    @property
    def relative_errors(self) -> Array:
        """|predicted / measured - 1| of every row."""
        return np.abs(self.predicted / self.measured - 1)

    @property
    def median(self) -> float:
        """Median relative error; NaN without rows."""
        return median(self.relative_errors)

    @property
    def mean(self) -> float:
        """Mean relative error; NaN without rows."""
        return float(self.relative_errors.mean()) if len(self.group) else float("nan")

    def by_group(self) -> dict[str, tuple[float, float]]:
        """Return the median and the mean relative error of every group left out."""
        errors = self.relative_errors
        inside = {str(name): errors[self.group == name] for name in np.unique(self.group)}
        return {name: (median(part), float(part.mean())) for name, part in inside.items()}

    @property
    def worst(self) -> str:
        """The group with the largest median error; empty without rows."""
        groups = self.by_group()
        return max(groups, key=lambda name: groups[name][0], default="")


def median(errors: Array) -> float:
    """Return the median; NaN of nothing.

    Examples
    --------
    >>> median(np.array([0.1, 0.5, 0.2]))
    0.2
    """
    return float(np.median(errors)) if len(errors) else float("nan")


def quantile(errors: Array, share: float) -> float:
    """Return a quantile; NaN of nothing."""
    return float(np.quantile(errors, share)) if len(errors) else float("nan")
