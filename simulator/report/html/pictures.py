"""The charts of a page as files, PNG or SVG: drawn by Matplotlib, since Plotly needs a browser.

The same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.figures import percent
from simulator.report.html.chart import (
    Axis,
    Bars,
    Cells,
    Chart,
    Line,
    Values,
    coordinates,
    extent,
    ticks,
)
from simulator.report.plots import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = {False: (5.6, 3.7), True: (9.6, 3.4)}
"""Width and height of a chart, by whether it is wide."""

_TALLER = 1.5
_BAND_OPACITY = 0.15
_BARS_WIDTH = 0.8


def draw(chart: Chart, destination: Path) -> Path:
    """Draw a chart into a file and return it.

    Parameters
    ----------
    chart
        What to draw.
    destination
        The file; its suffix decides the format.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    width, height = _INCHES[chart.wide]
    height *= _TALLER if chart.tall else 1.0
    with drawing(destination, width=width, height=height) as figure:
        axes = figure.subplots()
        bars = [series for series in chart.series if isinstance(series, Bars)]
        _draw_bars(axes, bars, chart.stacked)
        for series in chart.series:
            if isinstance(series, Line):
                _draw_line(axes, series)
            elif isinstance(series, Cells):
                _draw_cells(axes, series)
        _draw_rules(axes, chart)
        axes.set_title(chart.title, loc="left")
        _set_axis(axes, "x", chart.x, [coordinates(series, "x") for series in chart.series])
        _set_axis(axes, "y", chart.y, [coordinates(series, "y") for series in chart.series])
        if chart.stacked:
            axes.invert_yaxis()
        if len(axes.get_legend_handles_labels()[0]) > 1:
            columns = 6 if chart.wide else 3
            figure.legend(frameon=False, loc="outside lower center", ncols=columns)
    return destination


def _draw_line(axes: Axes, line: Line) -> None:
    x: Any = list(line.x)
    y = _floats(line.y)
    style = "none" if not line.joined else "--" if line.dashed else "-"
    marker = "o" if line.marked or not line.joined else None
    axes.plot(
        x, y, color=line.colour, label=line.name, linestyle=style, marker=marker, markersize=4
    )
    if line.low is not None and line.high is not None:
        low, high = _floats(line.low), _floats(line.high)
        axes.fill_between(x, low, high, color=line.colour, alpha=_BAND_OPACITY, linewidth=0.0)


def _draw_bars(axes: Axes, several: Sequence[Bars], stacked: bool) -> None:
    if not several:
        return
    labels = list(several[0].labels)
    places = np.arange(len(labels))
    ends = np.zeros(len(labels))
    width = _BARS_WIDTH / len(several)
    for index, bars in enumerate(several):
        values = np.nan_to_num(_floats(bars.values))
        if stacked:
            axes.barh(places, values, 0.62, ends, color=bars.colour, label=bars.name)
            ends += values
        else:
            shift = (index - (len(several) - 1) / 2) * width
            axes.bar(places + shift, values, width, color=bars.colour, label=bars.name)
    set_ticks = axes.set_yticks if stacked else axes.set_xticks
    set_ticks(places, labels)
    axes.set_axisbelow(True)


def _draw_cells(axes: Axes, cells: Cells) -> None:
    """Colour the cells and write what each holds."""
    from matplotlib.colors import CenteredNorm, LinearSegmentedColormap  # noqa: PLC0415 - slow

    values = np.array([_floats(row) for row in cells.values])
    colours = ["#eef4fb", "#0b6bcb"] if cells.middle is None else ["#c2553a", "#f6f6f4", "#0b6bcb"]
    scale = LinearSegmentedColormap.from_list("moesim", colours)
    norm = None if cells.middle is None else CenteredNorm(cells.middle)
    axes.imshow(values, cmap=scale, norm=norm, aspect="auto", origin="lower")
    for row, texts in enumerate(cells.texts):
        for column, text in enumerate(texts):
            axes.text(column, row, text, ha="center", va="center", fontsize=8, parse_math=False)
    axes.set_xticks(range(len(cells.columns)), list(cells.columns))
    axes.set_yticks(range(len(cells.rows)), list(cells.rows))
    axes.grid(visible=False)


def _draw_rules(axes: Axes, chart: Chart) -> None:
    for rule in chart.rules:
        style: dict[str, Any] = {"color": "#7a8793", "linewidth": 0.9, "linestyle": ":"}
        if rule.vertical:
            axes.axvline(rule.at, **style)
            place, across = (rule.at, 0.02), axes.get_xaxis_transform()
            axes.text(*place, f" {rule.label}", transform=across, fontsize=7, parse_math=False)
        else:
            axes.axhline(rule.at, **style)
            place, across = (0.99, rule.at), axes.get_yaxis_transform()
            axes.text(
                *place,
                rule.label,
                transform=across,
                fontsize=7,
                ha="right",
                va="bottom",
                parse_math=False,
            )


def _set_axis(axes: Axes, which: str, axis: Axis, values: Sequence[Values]) -> None:
    """Set title, scale, bounds and ticks of one axis."""
    axes.set(**{f"{which}label": axis.title})
    if axis.scale == "category":
        return
    side = axes.xaxis if which == "x" else axes.yaxis
    if axis.scale == "linear":
        if axis.bounds:
            axes.set(**{f"{which}lim": axis.bounds})
        elif axis.from_zero and which == "y" and axes.get_ylim()[0] > 0.0:
            axes.set_ylim(bottom=0.0)
        if axis.unit == "percent":
            side.set_major_formatter(lambda value, _: percent(value))
        return
    axes.set(**{f"{which}scale": "log"})
    span = axis.bounds or extent(values)
    if span is not None:
        at, written = ticks(axis, *span)
        side.set_ticks(at, written)
        side.set_ticks([], minor=True)


def _floats(values: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
