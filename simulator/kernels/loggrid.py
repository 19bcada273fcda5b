"""Interpolation on a rectangular grid, linear in the logarithms of coordinates and times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.timing import Timing

Array = NDArray[np.float64]


class LogGrid:
    """Times over a grid with up to three axes.

    Between grid points the logarithm of the time is linear in the logarithms of the coordinates (a
    power law between neighbours), so grid points are met exactly and a monotone table stays
    monotone. Below the first point of an axis the time is that of the first point; above the last
    it grows with the power given for the axis. Holes are filled as `fill_holes` says; those outside
    what was measured are marked as assumed.

    Parameters
    ----------
    axes
        Increasing positive coordinates, one array per axis.
    seconds
        Times, s, of shape ``[len(axis) for axis in axes]``; NaN where nothing was measured.
    powers
        Growth beyond the end of each axis: time ~ coordinate ** power.

    Examples
    --------
    >>> grid = LogGrid([np.array([1.0, 4.0])], np.array([2.0, 8.0]), [1.0])
    >>> [(round(t.seconds, 9), t.kind) for t in (grid.at(2.0), grid.at(8.0))]
    [(4.0, 'measured'), (16.0, 'assumed')]
    """

    __slots__ = ("_assumed", "_axes", "_logs", "_powers", "_strides", "_times", "last")

    def __init__(self, axes: Sequence[Array], seconds: Array, powers: Sequence[float]) -> None:
        filled, assumed = fill_holes(axes, np.asarray(seconds, dtype=float), powers)
        self._axes = [[float(x) for x in axis] for axis in axes]
        self._logs = [[log(x) for x in axis] for axis in self._axes]
        self._powers = tuple(powers)
        self._times: list[float] = np.log(filled).ravel().tolist()
        self._assumed: list[bool] = assumed.ravel().tolist()
        shape = filled.shape
        self._strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        self.last = tuple(axis[-1] for axis in self._axes)
        """Largest coordinate of every axis."""

    def at(self, *point: float) -> Timing:
        """Return the time at a point, one coordinate per axis."""
        first, beyond = 0, 0.0
        corners = [(0, 1.0)]  # from the first on: place and weight
        for x, axis, logs, stride, power in zip(
            point, self._axes, self._logs, self._strides, self._powers, strict=True
        ):
            if x <= axis[0]:
                continue
            if x >= axis[-1]:
                first += (len(axis) - 1) * stride
                if x > axis[-1]:
                    beyond += power * (log(x) - logs[-1])
                continue
            low = bisect_right(axis, x) - 1
            first += low * stride
            share = (log(x) - logs[low]) / (logs[low + 1] - logs[low])
            if share > 0.0:
                rest = 1.0 - share
                corners = [(place, weight * rest) for place, weight in corners] + [
                    (place + stride, weight * share) for place, weight in corners
                ]
        times, flags = self._times, self._assumed
        total = beyond
        assumed = beyond > 0.0
        for place, weight in corners:
            total += weight * times[first + place]
            assumed = assumed or flags[first + place]
        return Timing(exp(total), "assumed" if assumed else "measured")


def grid_of(coordinates: Sequence[NDArray[np.int64]], seconds: Array) -> tuple[list[Array], Array]:
    """Spread rows over the grid of their distinct coordinates; NaN where there is no row."""
    axes, places = [], []
    for column in coordinates:
        axis, place = np.unique(column, return_inverse=True)
        axes.append(axis.astype(float))
        places.append(place)
    values = np.full([len(axis) for axis in axes], np.nan)
    values[tuple(places)] = seconds
    return axes, values


def fill_holes(
    axes: Sequence[Array], seconds: Array, powers: Sequence[float]
) -> tuple[Array, NDArray[np.bool_]]:
    """Fill the holes of a grid: those between rows of any axis first, then those at the ends.

    Both go through the axes from the last to the first. At the end of a line the time grows as on
    the line before it along the first axis, where that one goes on, else with the power.

    Returns
    -------
    filled
        Times without NaN.
    assumed
        Where the value lies outside what was measured, whichever axis is looked along.
    """
    values = np.log(seconds)
    assumed = np.zeros(values.shape, dtype=bool)
    for ends in (False, True):
        for axis in reversed(range(values.ndim)):
            lines = np.moveaxis(values, axis, -1)
            flags = np.moveaxis(assumed, axis, -1)
            logs = np.log(axes[axis])
            holes = np.isnan(lines)
            for place in np.argwhere(holes.any(axis=-1) & ~holes.all(axis=-1)):
                line = lines[tuple(place)]
                _fill_inside(logs, line)
                if ends:
                    before = lines[(place[0] - 1, *place[1:])] if axis and place[0] else line
                    _fill_ends(powers[axis] * logs, line, before, flags[tuple(place)])
    return np.exp(values), assumed


def _fill_inside(logs: Array, line: Array) -> None:
    known = np.flatnonzero(~np.isnan(line))
    inside = slice(known[0], known[-1] + 1)
    line[inside] = np.interp(logs[inside], logs[known], line[known])


def _fill_ends(growth: Array, line: Array, before: Array, flags: NDArray[np.bool_]) -> None:
    known = np.flatnonzero(~np.isnan(line))
    first, last = known[0], known[-1]
    flags[:first] = flags[last + 1 :] = True
    line[:first] = line[first]
    shape = growth if np.isnan(before).any() else before
    line[last + 1 :] = line[last] + shape[last + 1 :] - shape[last]
