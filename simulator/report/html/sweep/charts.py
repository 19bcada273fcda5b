"""Charts of a sweep: a heat map over two axes, and lines over one with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from simulator.report.figures import factor, number, seconds
from simulator.report.html.blocks import Section, charts, section
from simulator.report.html.chart import COLOURS, Axis, Bars, Cells, Chart, Line, Rule
from simulator.report.html.sweep.slices import Slice, slice_of
from simulator.report.html.sweep.source import SPOKEN, Row, SweepSource
from simulator.report.plots import ARM_STYLES
from simulator.study.sweep.reading import FAILED

_MOST_CELLS, _MOST_LINES = 400, len(COLOURS)
"""What fits into a chart."""

_WITHHELD, _FAILED = "-", "failed"


class _Measure(NamedTuple):
    """A figure of an arm over the axes: its column, title, caption, unit and how it is written."""

    column: str
    title: str
    caption: str
    unit: str
    write: Callable[[float | None], str]


_MEASURES = (
    _Measure(
        "tpot_s.p50",
        "Time per output token",
        "Median over requests, with speculation on.",
        "seconds",
        seconds,
    ),
    _Measure(
        "ttft_s.p90",
        "Time to first token",
        "90th percentile over requests, with speculation on.",
        "seconds",
        seconds,
    ),
    _Measure(
        "goodput_per_s",
        "Goodput",
        "Requests per second that are served within the SLO, with speculation on.",
        "number",
        number,
    ),
    _Measure(
        "output_tokens_per_s",
        "Throughput",
        "Output tokens per second, with speculation on. Where the deployment keeps up it is the "
        "load that arrives.",
        "number",
        number,
    ),
)


def sweep_charts(source: SweepSource) -> list[Section | None]:
    """Return the sections of charts: speedup, then what it was measured on."""
    shown = slice_of(source)
    speedups = [_heat(source, shown), _speedup_lines(source, shown)]
    measures = [_measure_lines(shown, measure) for measure in _MEASURES]
    return [
        section("speedup", "Speedup", charts(speedups)),
        section("measures", f"Against {shown.x_title}", charts(measures)),
    ]


def _held(shown: Slice) -> str:
    return f" Held: {shown.held}, as at the best point." if shown.held else ""


def _heat(source: SweepSource, shown: Slice) -> Chart | None:
    if shown.y is None or len(shown.columns) * len(shown.rows) > _MOST_CELLS:
        return None
    column = f"speedup.{source.rank}.value"

    def text(label: tuple[str, str]) -> str:
        row = shown.points.get(label)
        if row is None:
            return ""
        value = row.get(column)
        return _FAILED if row["status"] == FAILED else _WITHHELD if value is None else factor(value)

    grid = [[(x, y) for x in shown.columns] for y in shown.rows]
    values = [[shown.points.get(label, {}).get(column) for label in labels] for labels in grid]
    cells = Cells(
        name="speedup",
        columns=shown.columns,
        rows=shown.rows,
        values=values,
        texts=[[text(label) for label in labels] for labels in grid],
        middle=1.0,
    )
    return Chart(
        key="heat",
        title=f"Speedup by {shown.x_title} and {shown.y_title}",
        caption=f"Of the {SPOKEN[source.rank]}, off over on: blue where speculation gains, red "
        "where it costs. A dash: withheld, since too few requests are behind it or an arm cannot "
        f"keep up.{_held(shown)}",
        x=Axis(title=shown.x, scale="category"),
        y=Axis(title=shown.y, scale="category"),
        series=[cells],
    )


def _speedup_lines(source: SweepSource, shown: Slice) -> Chart | None:
    """Return the speedup over an axis, a line for each value of the other, with its interval."""
    prefix = f"speedup.{source.rank}"
    return _over_axis(
        shown,
        key="speedup-lines",
        title=f"Speedup against {shown.x_title}",
        caption=f"Of the {SPOKEN[source.rank]}; bands: 95 % intervals over replications."
        f"{_held(shown)}",
        y=Axis(title="speedup (x)"),
        column=f"{prefix}.value",
        bounds=(f"{prefix}.low", f"{prefix}.high"),
        rules=[Rule(at=1.0, label="no gain")],
    )


def _measure_lines(shown: Slice, measure: _Measure) -> Chart | None:
    found = _over_axis(
        shown,
        key=f"measure-{measure.column.replace('_', '-').replace('.', '-')}",
        title=f"{measure.title} against {shown.x_title}",
        caption=f"{measure.caption}{_held(shown)}",
        y=Axis(title=measure.title.lower(), unit=measure.unit),
        column=f"speculative.{measure.column}",
    )
    return found and _with_baseline(found, shown, f"baseline.{measure.column}")


def _over_axis(
    shown: Slice,
    *,
    key: str,
    title: str,
    caption: str,
    y: Axis,
    column: str,
    bounds: tuple[str, str] | None = None,
    rules: list[Rule] | None = None,
) -> Chart | None:
    """Return a figure over the axis along the bottom; None where no point has it."""
    if not any(row.get(column) is not None for row in shown.points.values()):
        return None
    series: list[Line | Bars] = []
    known = [
        y_label
        for y_label in shown.rows
        if any(value is not None for value in _along(shown, y_label, column))
    ]
    for y_label, colour in zip(known[:_MOST_LINES], COLOURS, strict=False):
        name = f"{shown.y_title} {y_label}" if shown.y else "SD on"
        if shown.numbers:
            low, high = (
                (_along(shown, y_label, bound) for bound in bounds) if bounds else (None,) * 2
            )
            line = Line(
                name=name,
                x=[float(label) for label in shown.columns],
                y=_along(shown, y_label, column),
                low=low if low and None not in low else None,
                high=high if high and None not in high else None,
                colour=colour,
                marked=True,
            )
            series.append(line)
        else:
            values = _along(shown, y_label, column)
            series.append(Bars(name=name, labels=shown.columns, values=values, colour=colour))
    more = len(known) - len(series)
    return Chart(
        key=key,
        title=title,
        caption=f"{caption} {more} more values of {shown.y_title} are in the table." * (more > 0)
        or caption,
        x=Axis(title=shown.x, scale="linear" if shown.numbers else "category", from_zero=False),
        y=y,
        series=series,
        rules=rules or [],
    )


def _along(shown: Slice, y_label: str, column: str) -> list[float | None]:
    """Return a figure along the bottom axis, at one value of the other."""
    rows: list[Row] = [shown.points.get((x_label, y_label), {}) for x_label in shown.columns]
    return [row.get(column) for row in rows]


def _with_baseline(chart: Chart, shown: Slice, column: str) -> Chart:
    """Add the arm without speculation, where the other axis does not change it."""
    lines = [_along(shown, y_label, column) for y_label in shown.rows]
    known = [
        {value for value in values if value is not None} for values in zip(*lines, strict=True)
    ]
    if not shown.numbers or not any(known) or any(len(values) > 1 for values in known):
        return chart
    label, colour = ARM_STYLES["baseline"]
    off = Line(
        name=label,
        x=[float(x_label) for x_label in shown.columns],
        y=[next(iter(values), None) for values in known],
        colour=colour,
        dashed=True,
        marked=True,
    )
    return replace(chart, series=[*chart.series, off])
