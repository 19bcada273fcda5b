"""Measured speedups and step times, with the operating points that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.performance import Points, Prediction

Floats = NDArray[np.float64]

QUANTITIES = Prediction._fields
"""What can be measured at a point: four times in seconds and the speedup."""

TIMES = QUANTITIES[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Rows of measurements, each at one operating point.

    Parameters
    ----------
    points
        Operating points of the n rows. Where a row has neither speedup nor verify step, gamma and
        sigma mean nothing and are 1.
    values
        By name of `QUANTITIES`, shape (n,): seconds, and speedups without unit; NaN where a row
        has none.
    lines
        Line of each row in its file, for messages.
    origin
        The file, or what else the rows came from.
    """

    points: Points
    values: dict[str, Floats]
    lines: tuple[int, ...]
    origin: str

    def count(self, *names: str) -> int:
        """Return how many values of these quantities were measured; of all without a name."""
        return sum(int(np.isfinite(self.values[name]).sum()) for name in names or QUANTITIES)

    def rows(self, chosen: NDArray[np.intp] | slice) -> Measurements:
        """Return some of the rows."""
        columns = ("batch", "gamma", "top_k", "experts", "sigma")
        points = {name: getattr(self.points, name)[chosen] for name in columns}
        return replace(
            self,
            points=replace(self.points, **points),
            values={name: column[chosen] for name, column in self.values.items()},
            lines=tuple(np.asarray(self.lines)[chosen].tolist()),
        )


def speedups_at(points: Points, speedup: Floats, origin: str) -> Measurements:
    """Return measurements of speedups alone.

    Parameters
    ----------
    points, origin
        As in `Measurements`.
    speedup
        At each point.
    """
    nothing = np.full(points.batch.shape, np.nan)
    values = dict.fromkeys(TIMES, nothing) | {"speedup": np.asarray(speedup, float)}
    lines = tuple(range(1, points.batch.size + 1))
    return Measurements(points=points, values=values, lines=lines, origin=origin)
