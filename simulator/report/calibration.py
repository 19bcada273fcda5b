"""A fit of MoESD's ten parameters, on the terminal and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import number, seconds
from simulator.report.plots import double, drawing
from simulator.study.calibration.estimates import Estimate
from simulator.study.calibration.fit import SCALE_WORDS, Fit, half_sse
from simulator.study.calibration.job import Calibration
from simulator.study.calibration.measurements import TIMES
from simulator.study.calibration.rows import TOLD_BY_DRAFTS
from simulator.units import MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEANINGS = {
    "bias": "load of every step",
    "k1": "growth, dense part",
    "k2": "load of one expert",
    "k3": "growth, experts",
    "draft_bias": "load of the drafter",
    "draft_k": "growth, drafter",
    "reject_bias": "rejection, fixed",
    "reject_k": "rejection, per request",
    "lambda": "share of ridge point",
    "s": "base of growth",
}

_TITLES = {
    "ar_step_s": "plain step",
    "verify_step_s": "verify step",
    "draft_step_s": "draft step",
    "reject_s": "rejection",
    "speedup": "speedup",
}

_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b", "#7251b5", "#7a7a7a")


def print_calibration(calibration: Calibration, console: Console) -> None:
    """Print the parameters, how well they fit, and what to do; fits 80 columns.

    Parameters
    ----------
    calibration
        The fit with its warnings and assumptions.
    console
        Where to print.
    """
    found = calibration.fit
    measured = found.measured
    console.print(Text(f"Ten parameters from {measured.origin}", style="bold"))
    console.print(parameter_table(found))
    for sentence in (*_quality(found), *_scale(found), *_free(found), *_at_bounds(found)):
        console.print(Text(sentence))
    for warning in calibration.warnings:
        console.print(Text(f"Warning: {warning}"))
    for assumption in calibration.assumptions:
        console.print(Text(f"Assumed: {assumption}."))
    console.print(
        "Before measuring: moesim calibrate check --help"
        if found.missing
        else "For a profile that simulate takes: moesim calibrate engine --help"
    )
    console.print()


def parameter_table(found: Fit) -> Table:
    """Lay out the ten parameters: value, interval, bound, meaning."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    table.add_column("parameter", no_wrap=True)
    table.add_column("plain steps" if found.scale_free else "value", justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("bound")
    table.add_column("")
    for estimate in found.estimates.values():
        table.add_row(estimate.name, *_cells(estimate), _MEANINGS[estimate.name])
    return table


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    """Return value, interval and note of a parameter."""
    value = _written(estimate, estimate.value)
    if not estimate.determined:
        return "", "", "free"
    if estimate.bound:
        return value, "", "held" if estimate.bound == "fixed" else estimate.bound
    if not math.isfinite(estimate.low):
        return value, "unknown", ""
    interval = f"{_written(estimate, estimate.low)} to {_written(estimate, estimate.high)}"
    return value, interval, ""


def _written(estimate: Estimate, value: float) -> str:
    if estimate.unit == "1":
        return f"{value:.3f}"
    return seconds(value) if estimate.unit == "s" else number(value)


def _quality(found: Fit) -> Iterator[str]:
    speedups, times = found.errors("speedup"), found.errors(*TIMES)
    if speedups.size:
        spread = np.sqrt(np.mean(speedups**2))
        yield (
            f"{speedups.size} speedups: half the sum of squares {half_sse(speedups):.3f}, root "
            f"mean square {spread:.3f}."
        )
    if times.size:
        yield f"{times.size} times: root mean square {100 * np.sqrt(np.mean(times**2)):.1f} %."
    solution = found.solution
    yield f"{solution.agreeing} of {solution.starts} starts ended here." + (
        " Others found worse minima: try starts=50."
        if solution.agreeing == 1 < solution.starts
        else ""
    )


def _scale(found: Fit) -> Iterator[str]:
    step = found.plain_step
    if step is None:
        return
    sizes = f" with K = {step.top_k[0]:g}" if step.experts[0] > 1 else ""
    yield (
        "These data are ratios: with all times twice as long they would be the same, so no seconds "
        f"are given. The unit is a plain step of the target at batch {step.batch[0]:g}{sizes}. One "
        "measured ar_step_s, at any batch, fixes the scale: add it to its row and fit again."
    )


def _free(found: Fit) -> Iterator[str]:
    known = found.identifiability
    yield f"{known.rank} of {len(known.unknowns)} combinations of parameters are determined."
    for direction in known.null_directions:
        if direction.words != SCALE_WORDS:
            yield f"Free: {direction.words}."
    if found.missing:
        yield f"Measure next: {', '.join(found.missing)}."
    elif not known.determined:
        yield (
            "No further step time tells these apart near this solution. Check hardware= or ridge=, "
            "and whether batches reach from bound by memory to bound by compute."
        )


def _at_bounds(found: Fit) -> Iterator[str]:
    held = [e for e in found.estimates.values() if e.bound in {"lower", "upper"} and e.determined]
    if held:
        names = ", ".join(f"{estimate.name} ({estimate.bound})" for estimate in held)
        yield (
            f"At a bound: {names}. The data pull beyond it; the intervals of the others hold with "
            f"these held. Bounds of times: {found.bounds.source}."
        )


def plot_calibration(found: Fit, destination: Path | str) -> Path:
    """Draw measured against fitted values above and what is left over below.

    Parameters
    ----------
    found
        The fit.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    names = [name for name in _TITLES if found.measured.count(name)]
    with drawing(destination, width=max(4.8, 3.2 * len(names)), height=5.4) as figure:
        panels = figure.subplots(2, len(names), squeeze=False)
        for column, name in enumerate(names):
            _draw(panels[0][column], panels[1][column], found, name)
        panels[0][0].set_ylabel("fitted")
        panels[1][0].set_ylabel("fitted - measured (times relative)")
        for axes in panels[0]:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False)
    return Path(destination)


def _draw(above: Axes, below: Axes, found: Fit, name: str) -> None:
    """Draw one quantity, a colour per draft length where it depends on one."""
    measured = found.measured.values[name]
    predicted = getattr(found.predict(found.measured.points), name)
    scale = MS if name in TIMES else 1.0
    gamma, batch = found.measured.points.gamma, found.measured.points.batch
    gap = (predicted - measured) / (measured if name in TIMES else 1.0)
    if name not in TOLD_BY_DRAFTS:
        gamma = np.zeros_like(gamma)
    lengths = np.unique(gamma[np.isfinite(measured)])
    for index, drafted in enumerate(lengths):
        chosen = gamma == drafted
        label = f"gamma {drafted:g}" if drafted else None
        colour = _COLOURS[index % len(_COLOURS)] if drafted else "#333333"
        style: Any = {"color": colour, "markersize": 4, "alpha": 0.7, "label": label}
        above.plot(measured[chosen] / scale, predicted[chosen] / scale, "o", **style)
        below.plot(batch[chosen], gap[chosen], "o", **style)
    ends = [np.nanmin(measured) / scale, np.nanmax(measured) / scale]
    above.plot(ends, ends, color="#333333", linewidth=0.8)
    above.set_title(_TITLES[name])
    above.set_xlabel("measured (ms)" if name in TIMES else "measured")
    below.axhline(0.0, color="#333333", linewidth=0.8)
    double(below)
    below.set_xlabel("batch (requests)")
