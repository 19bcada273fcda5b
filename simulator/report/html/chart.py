"""Charts as data: what is drawn, on which axes, in which words; two ways to draw it follow.

`plotly_figure` makes the interactive chart of a page, `pictures` a file. All text is plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulator.report.figures import number, percent, seconds

Values = Sequence[float | None]
"""Coordinates; None or NaN breaks a line."""

WRITE: dict[str, Callable[[float | None], str]] = {
    "number": number,
    "seconds": seconds,
    "percent": percent,
}
"""How the figures of an axis are written, by its unit."""

COLOURS = ("#0b6bcb", "#c2410c", "#2a8a55", "#7251b5", "#a16207", "#b0286a", "#3f7f93", "#5b6672")
"""Colours of several lines, each 3:1 or more against white."""

_FEWEST_TICKS, _MOST_TICKS = 2, 5
"""Labels that a logarithmic axis needs, and has room for on a phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a chart.

    Parameters
    ----------
    title
        What it shows, with the unit where ``unit`` does not say it.
    unit
        A key of `WRITE`.
    scale
        ``linear``, ``log`` (decades), ``doubling`` (powers of two) or ``category``.
    bounds
        Least and largest value shown; None fits the data.
    from_zero
        Whether a linear axis that fits the data begins at 0.
    """

    title: str
    unit: str = "number"
    scale: str = "linear"
    bounds: tuple[float, float] | None = None
    from_zero: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, with the band of an interval if it has ``low`` and ``high``.

    Parameters
    ----------
    name
        In the legend.
    x, y
        Points, of shape ``[points]``; on a category axis ``x`` are texts.
    low, high
        Bounds of the interval around ``y``, of the same shape.
    dashed
        Whether the line is a bound or a comparison, not a result.
    marked
        Whether each point is dotted.
    joined
        Whether the points are joined.
    texts
        What each point is, shown on hovering.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Values
    colour: str
    low: Values | None = None
    high: Values | None = None
    dashed: bool = False
    marked: bool = False
    joined: bool = True
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars of one colour, one for each label; bars of several series stand side by side."""

    name: str
    labels: Sequence[str]
    values: Values
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A heat map.

    Parameters
    ----------
    name
        What the colour shows.
    columns, rows
        Labels of the two axes.
    values
        Of shape ``[rows][columns]``; None leaves a cell empty.
    texts
        What is written into each cell, of the same shape.
    middle
        The value in the middle of the two colours, such as 1 for a speedup; None takes one colour.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Values]
    texts: Sequence[Sequence[str]]
    middle: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line across the chart at one value, with a word for it."""

    at: float
    label: str
    vertical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with the words around it.

    Parameters
    ----------
    key
        Its name in files and anchors: letters, digits and hyphens.
    title, caption
        Above, and below: what it shows and how to read it.
    x, y
        Axes.
    series
        What is drawn, in order; of one kind but for lines.
    rules
        Values that matter.
    stacked
        Whether bars lie on each other, and from left to right.
    wide
        Whether it takes the whole width of the page.
    tall
        Whether it is as high as a chart can be.
    shared_x
        Whether all lines have the same x, and hovering shows them together.
    """

    key: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: Sequence[Line | Bars | Cells]
    rules: Sequence[Rule] = field(default_factory=tuple)
    stacked: bool = False
    wide: bool = False
    tall: bool = False
    shared_x: bool = False


_WITHIN_DECADES = (
    (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    (1.0, 2.0, 5.0),
    (1.0, 3.0),
    (1.0,),
)
"""Round numbers of a decade; the most that there is room for are taken."""


def ticks(axis: Axis, low: float, high: float) -> tuple[list[float], list[str]]:
    """Return where a logarithmic axis has ticks, and what stands at them.

    Powers of two on one that doubles; else decades, with round numbers within where there is room.

    Parameters
    ----------
    axis
        The axis, not a linear one.
    low, high
        Least and largest value shown, > 0.

    Examples
    --------
    >>> ticks(Axis(title="batch", scale="doubling"), 1.0, 8.0)
    ([1.0, 2.0, 4.0, 8.0], ['1', '2', '4', '8'])
    >>> ticks(Axis(title="TTFT", unit="seconds", scale="log"), 0.02, 0.3)[1]
    ['20 ms', '50 ms', '100 ms', '200 ms']
    """
    slack = 1e-9
    if axis.scale == "doubling":
        powers = range(math.ceil(math.log2(low) - slack), math.floor(math.log2(high) + slack) + 1)
        step = math.ceil(len(powers) / (2 * _MOST_TICKS))
        doubled = [2.0**power for power in powers[::step]]
        return doubled, [f"{value:,g}" for value in doubled]
    decades = range(math.floor(math.log10(low) - slack), math.ceil(math.log10(high) + slack) + 1)
    found: list[float] = []
    for steps in _WITHIN_DECADES:
        found = [step * 10.0**decade for decade in decades for step in steps]
        found = [value for value in found if low * (1 - slack) <= value <= high * (1 + slack)]
        if len(found) <= _MOST_TICKS:
            break
    if len(found) < _FEWEST_TICKS:  # no round number, or one, lies within
        found = sorted({low, high})
    return found, [_short(WRITE[axis.unit](value)) for value in found]


def _short(written: str) -> str:
    """Drop the zeros behind the point of a round number: ticks are round.

    Examples
    --------
    >>> [_short(text) for text in ("1.00 s", "20.0 ms", "100 ms", "0.500")]
    ['1 s', '20 ms', '100 ms', '0.5']
    """
    digits, space, unit = written.partition(" ")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{digits}{space}{unit}"


def coordinates(series: Line | Bars | Cells, axis: str) -> Values:
    """Return where a line runs along an axis: it decides how far a logarithmic one goes."""
    if not isinstance(series, Line):
        return ()
    return [value for value in getattr(series, axis) if not isinstance(value, str)]


def legend(chart: Chart) -> list[tuple[str, str, str]]:
    """Return name, colour and sign (``line``, ``dash``, ``dot``, ``box``) of what a chart draws.

    Nothing where one series says all in the title.
    """
    signs = [
        (series.name, series.colour, _sign(series))
        for series in chart.series
        if not isinstance(series, Cells)
    ]
    return signs if len(signs) > 1 else []


def _sign(series: Line | Bars) -> str:
    if isinstance(series, Bars):
        return "box"
    if not series.joined:
        return "dot"
    return "dash" if series.dashed else "line"


def extent(values: Sequence[Values]) -> tuple[float, float] | None:
    """Return the least and the largest of finite values > 0; None where there is none.

    Examples
    --------
    >>> extent([[1.0, None, 4.0], [0.0, float("nan")]])
    (1.0, 4.0)
    """
    known = [
        value
        for each in values
        for value in each
        if value is not None and math.isfinite(value) and value > 0.0
    ]
    return (min(known), max(known)) if known else None
