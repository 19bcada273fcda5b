"""Which axes of a sweep a chart shows, and which points of the other axes.

A chart has room for two axes. The best point of the sweep decides what holds on all others: what a
chart shows is what a reader would look at first, and it says what is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.report.html.sweep.source import Row, SweepSource, short_names
from simulator.report.sweep import best_of
from simulator.study.sweep.layout import label_of

_FIRST = ("workload.rate", "workload.concurrency", "speculation.gamma", "speculation.alpha")
"""Axes that a reader looks for along the bottom, the first first."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Two axes of a sweep, or one, with all others held.

    Parameters
    ----------
    x, y
        The axes; ``y`` is None where only one has several values.
    columns, rows
        Their values in order, as labels.
    points
        The points by their labels.
    numbers
        Whether the values of ``x`` are numbers, which lie on a line.
    held
        What holds on the other axes, in words; empty where there are none.
    """

    x: str
    y: str | None
    columns: Sequence[str]
    rows: Sequence[str]
    points: Mapping[tuple[str, str], Row]
    numbers: bool
    held: str

    @property
    def x_title(self) -> str:
        """Name of the axis along the bottom."""
        return self.x.rpartition(".")[2]

    @property
    def y_title(self) -> str:
        """Name of the other axis."""
        return (self.y or "").rpartition(".")[2]


def slice_of(source: SweepSource) -> Slice:
    """Choose two axes and the points that lie on them.

    Along the bottom runs the axis that `_FIRST` names first, else the one with most values; the
    other is the one with most values of the rest.
    """
    several = [axis for axis, values in source.axes.items() if len(values) > 1]
    axes = sorted(several or source.axes, key=lambda axis: _order(source, axis))
    x, y = axes[0], axes[1] if len(axes) > 1 else None
    best = best_of(source.rows) or source.rows[0]
    others = [axis for axis in source.axes if axis not in (x, y)]
    points = {
        (_label(row, x), _label(row, y)): row
        for row in source.rows
        if all(row[axis] == best[axis] for axis in others)
    }
    names = short_names(list(source.axes))
    told = [axis for axis in others if len(source.axes[axis]) > 1]
    return Slice(
        x=x,
        y=y,
        columns=_labels(source, x),
        rows=_labels(source, y),
        points=points,
        numbers=all(type(row[x]) in (int, float) for row in source.rows),
        held=", ".join(f"{names[axis]}={label_of(best[axis])}" for axis in told),
    )


def _order(source: SweepSource, axis: str) -> tuple[int, int]:
    place = _FIRST.index(axis) if axis in _FIRST else len(_FIRST)
    return place, -len(source.axes[axis])


def _label(row: Row, axis: str | None) -> str:
    return "" if axis is None else label_of(row[axis])


def _labels(source: SweepSource, axis: str | None) -> list[str]:
    """Return the labels of an axis in order: numbers by size, all else as it was asked for."""
    if axis is None:
        return [""]
    values: list[Any] = list(dict.fromkeys(row[axis] for row in source.rows))
    if all(type(value) in (int, float) for value in values):
        values.sort()
    return [label_of(value) for value in values]
