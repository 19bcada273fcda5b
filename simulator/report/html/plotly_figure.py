"""A chart as a figure of Plotly: plain JSON, which the page hands to Plotly's own script.

Figures are made without Plotly's Python classes, which would take longer to import than to use;
tests let those check what is made here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import Any

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

Json = dict[str, Any]

_DIGITS = 5
"""Significant digits of a coordinate: finer than any screen, and half the size of all of them."""

_INK, _GRID = "#33404d", "#e3e7eb"
_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13}
_HEIGHT_PX, _WIDE_HEIGHT_PX, _TALL_HEIGHT_PX = 290, 240, 400
_BAND_OPACITY = "26"
"""Two hexadecimal digits behind a colour: 15 %."""

_SEQUENTIAL = [[0.0, "#eef4fb"], [1.0, "#0b6bcb"]]
_DIVERGING = [[0.0, "#c2553a"], [0.5, "#f6f6f4"], [1.0, "#0b6bcb"]]


def figure(chart: Chart) -> Json:
    """Return the ``data`` and the ``layout`` of a chart.

    Parameters
    ----------
    chart
        What to draw.

    Examples
    --------
    >>> line = Line(name="SD on", x=[1.0, 2.0], y=[1.5, None], colour="#0b6bcb")
    >>> axes = {"x": Axis(title="batch"), "y": Axis(title="speedup")}
    >>> made = figure(Chart(key="a", title="A", caption="", series=[line], **axes))
    >>> made["data"][0]["y"], made["layout"]["xaxis"]["title"]["text"]
    ([1.5, None], 'batch')
    """
    data: list[Json] = []
    for series in chart.series:
        match series:
            case Line():
                data.extend(_line(chart, series))
            case Bars():
                data.append(_bars(chart, series))
            case Cells():
                data.append(_cells(chart, series))
    return {"data": data, "layout": _layout(chart)}


def _line(chart: Chart, line: Line) -> Iterator[Json]:
    """Yield a line, after the two bounds of its band."""
    x = _coordinates(line.x)
    if line.low is not None and line.high is not None:
        shared = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}}
        hidden = {"hoverinfo": "skip", "meta": line.name}
        yield {**shared, **hidden, "y": _rounded(line.high)}
        fill = {"fill": "tonexty", "fillcolor": line.colour + _BAND_OPACITY}
        yield {**shared, **hidden, **fill, "y": _rounded(line.low)}
    mode = "+".join(
        part
        for part, wanted in (("lines", line.joined), ("markers", line.marked or not line.joined))
        if wanted
    )
    yield {
        "type": "scatter",
        "mode": mode,
        "name": _plain(line.name),
        "meta": line.name,
        "x": x,
        "y": _rounded(line.y),
        "line": {"color": line.colour, "width": 2, "dash": "dash" if line.dashed else "solid"},
        "marker": {"color": line.colour, "size": 7 if line.joined else 8},
        "hovertemplate": _hover(chart, bool(line.texts)),
        **({"text": [_plain(text) for text in line.texts]} if line.texts else {}),
    }


def _bars(chart: Chart, bars: Bars) -> Json:
    labels, values = [_plain(label) for label in bars.labels], _rounded(bars.values)
    lying = {"orientation": "h", "x": values, "y": labels}
    # A label of digits is a name here, no place on a line.
    return {
        "type": "bar",
        "name": _plain(bars.name),
        "meta": bars.name,
        "marker": {"color": bars.colour},
        "hovertemplate": _hover(chart, texts=False),
        **(lying if chart.stacked else {"x": labels, "y": values}),
    }


def _cells(chart: Chart, cells: Cells) -> Json:
    middle = {} if cells.middle is None else {"zmid": cells.middle}
    return {
        "type": "heatmap",
        "x": [_plain(label) for label in cells.columns],
        "y": [_plain(label) for label in cells.rows],
        "z": [_rounded(row) for row in cells.values],
        "text": [[_plain(text) for text in row] for row in cells.texts],
        "texttemplate": "%{text}",
        "colorscale": _SEQUENTIAL if cells.middle is None else _DIVERGING,
        "showscale": False,  # the cells say their values
        "hovertemplate": f"{_plain(chart.x.title)} %{{x}}<br>{_plain(chart.y.title)} %{{y}}<br>"
        f"{_plain(cells.name)} %{{text}}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        **middle,
    }


def _hover(chart: Chart, texts: bool) -> str:
    """Return the template of what hovering shows: both coordinates, or the text of the point."""
    if texts:
        return "%{text}<extra>%{fullData.name}</extra>"
    if chart.shared_x:
        return "%{y}"
    return (
        f"{_plain(chart.x.title)}: %{{x}}<br>{_plain(chart.y.title)}: %{{y}}"
        "<extra>%{fullData.name}</extra>"
    )


def _layout(chart: Chart) -> Json:
    bars = any(isinstance(series, Bars) for series in chart.series)
    stacked = {"barmode": "stack"} if chart.stacked else {"barmode": "group"}
    y = _axis(chart.y, [coordinates(series, "y") for series in chart.series])
    if chart.stacked:
        y["autorange"] = "reversed"
    return {
        "height": _height_px(chart),
        "margin": {"l": 12, "r": 16, "t": 12, "b": 12},
        "font": {**_FONT, "color": _INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,  # the page has one of its own, which wraps as text does
        "hovermode": "x unified" if chart.shared_x else "closest",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": _INK}},
        "xaxis": _axis(chart.x, [coordinates(series, "x") for series in chart.series]),
        "yaxis": y,
        "shapes": [
            _rule(rule.at, rule.vertical, "above" if bars else "below") for rule in chart.rules
        ],
        "annotations": [_rule_label(chart, index) for index in range(len(chart.rules))],
        **(stacked if bars else {}),
    }


def _height_px(chart: Chart) -> int:
    if chart.tall:
        return _TALL_HEIGHT_PX
    return _WIDE_HEIGHT_PX if chart.wide else _HEIGHT_PX


def _axis(axis: Axis, values: Sequence[Any]) -> Json:
    """Return an axis of the layout."""
    shown: Json = {
        "title": {"text": _plain(axis.title), "standoff": 8, "font": {"size": 13}},
        "automargin": True,
        "tickangle": 0,
        "ticklabeloverflow": "allow",  # Plotly looks for the title below labels, and needs one
        "gridcolor": _GRID,
        "linecolor": "#9aa5b1",
        "zeroline": False,
        "fixedrange": axis.scale == "category",
        **_format(axis),
    }
    if axis.scale == "category":
        return shown | {"type": "category", "showgrid": False}
    if axis.scale == "linear":
        whole = {"rangemode": "tozero" if axis.from_zero else "normal"}
        return shown | ({"range": list(axis.bounds)} if axis.bounds else whole)
    span = axis.bounds or extent(values)
    if span is None:
        return shown | {"type": "log"}
    at, written = ticks(axis, *span)
    room = 0.03 * math.log10(max(span[1] / span[0], 1.01))
    bounds = [math.log10(span[0]) - room, math.log10(span[1]) + room]
    return shown | {"type": "log", "tickvals": at, "ticktext": written, "range": bounds}


def _format(axis: Axis) -> Json:
    """Return how figures at the ticks and under the cursor are written, in d3's language."""
    if axis.unit == "percent":
        return {"tickformat": ".0%", "hoverformat": ".1%"}
    if axis.unit == "seconds":
        return {"hoverformat": ".3~s", "ticksuffix": "s", "tickformat": "~s"}
    return {"hoverformat": ",.3~r"}


def _rule(at: float, vertical: bool, layer: str) -> Json:
    line = {"color": "#7a8793", "width": 1.2, "dash": "dot"}
    across = {"x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1}
    along = {"y0": at, "y1": at, "xref": "paper", "x0": 0, "x1": 1}
    return {"type": "line", "line": line, "layer": layer, **(across if vertical else along)}


def _rule_label(chart: Chart, index: int) -> Json:
    """Return the word at a rule: within the chart, beside its line."""
    rule = chart.rules[index]
    axis = chart.x if rule.vertical else chart.y
    at = rule.at if axis.scale == "linear" else math.log10(rule.at)
    shared = {"text": _plain(rule.label), "showarrow": False, "font": {"size": 11}}
    backed = {"bgcolor": "rgba(255,255,255,0.8)"}
    if rule.vertical:
        place = {"x": at, "yref": "paper", "y": 0.02, "xanchor": "left", "yanchor": "bottom"}
    else:
        place = {"y": at, "xref": "paper", "x": 1, "xanchor": "right", "yanchor": "bottom"}
    return {**shared, **backed, **place}


def _coordinates(values: Sequence[Any]) -> list[Any]:
    return [_plain(value) if isinstance(value, str) else _round(value) for value in values]


def _rounded(values: Values) -> list[float | None]:
    return [_round(value) for value in values]


def _round(value: float | None) -> float | None:
    """Return a value at the digits that a screen shows; None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def _plain(text: str) -> str:
    """Return text as Plotly must be given it to show it as it stands: it reads tags and entities.

    Examples
    --------
    >>> _plain("<b>B & C</b>\\nD")
    '&lt;b&gt;B &amp; C&lt;/b&gt;<br>D'
    """
    return html.escape(text, quote=False).replace("\n", "<br>")
