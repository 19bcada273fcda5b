"""MoESD's fit repeated: parameters, and the error against the number of points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.calibration import parameter_table
from simulator.report.figures import factor
from simulator.report.plots import drawing, legend_above
from simulator.study.moesd.fit import BAD_PLANS, STARTS, FitStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {2: "#d1495b", 4: "#0b6bcb"}


def print_fit_study(study: FitStudy, console: Console) -> None:
    """Print the fit on all points and the table of errors; fits 80 columns.

    Parameters
    ----------
    study
        The fits.
    console
        Where to print.
    """
    last = study.subsets[-1]
    console.print(Text("MoESD's ten parameters on its 228 points (fig. 4)", style="bold"))
    console.print(parameter_table(study.whole))
    console.print(
        Text(
            f"Half the sum of squares is {last.half_sse:.3f} (published: "
            f"{last.published.half_sse:.3f}), {np.sqrt(2 * last.half_sse / 228):.3f} per speedup "
            "in root mean square. Times are in plain steps: speedups leave seconds free. All "
            "points were fitted; none is a prediction."
        )
    )
    console.print()
    console.print(Text("Error over all 228 points after a fit to fewer (table 3)", style="bold"))
    console.print(_table(study))
    worst = study.metrics["half_sse_ratio_worst"]
    plans = ", ".join(map(str, BAD_PLANS))
    console.print(
        Text(
            "half SSE: half the sum of squared errors, which the paper prints as MSE. Points that "
            f"were not fitted are predictions. The two agree within a factor of {worst:.1f}; the "
            f"plans of {plans} points, which the paper found bad afterwards, are marked *. `moesim "
            "calibrate check` judges a plan before it is measured."
        )
    )
    console.print()


def _table(study: FitStudy) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    for heading in ("points", "stride", "published", "half SSE", "ratio", f"starts of {STARTS}"):
        table.add_column(heading, justify="right")
    for row in study.subsets:
        mark = "*" if row.published.points in BAD_PLANS else " "
        table.add_row(
            f"{row.published.points}{mark}",
            str(row.published.stride),
            f"{row.published.half_sse:.3f}",
            f"{row.half_sse:.3f}",
            factor(row.half_sse / row.published.half_sse),
            str(row.agreeing),
        )
    return table


def plot_fit_study(study: FitStudy, destination: Path | str) -> Path:
    """Draw published and fitted speedups, a panel per K, and the error against the points fitted.

    Parameters
    ----------
    study
        The fits.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    points = study.whole.measured.points
    numbers = np.unique(points.top_k)
    with drawing(destination, width=10.4, height=5.4) as figure:
        panels = figure.subplots(2, 4)
        curves = panels[:, :3].ravel()
        for axes, top_k in zip(curves, numbers, strict=True):
            _draw_speedups(axes, study, float(top_k))
        for axes in panels[:, 0]:
            axes.set_ylabel("speedup")
        legend_above(figure, curves[0])
        _draw_errors(panels[0, 3], study)
        panels[1, 3].set_axis_off()
    return Path(destination)


def _draw_speedups(axes: Axes, study: FitStudy, top_k: float) -> None:
    measured = study.whole.measured
    points, fitted = measured.points, study.whole.predict(measured.points).speedup
    for gamma, colour in _COLOURS.items():
        row = (points.top_k == top_k) & (points.gamma == gamma)
        axes.plot(
            points.batch[row],
            measured.values["speedup"][row],
            "o",
            color=colour,
            markersize=3,
            label=f"gamma {gamma}, published",
        )
        axes.plot(points.batch[row], fitted[row], color=colour, label=f"gamma {gamma}, fitted")
    axes.set_title(f"K = {top_k:g} of {points.experts[0]:g}")
    axes.set_xlabel("batch (requests)")


def _draw_errors(axes: Axes, study: FitStudy) -> None:
    numbers = [row.published.points for row in study.subsets]
    axes.plot(numbers, [row.published.half_sse for row in study.subsets], "o-", color="#7a7a7a")
    axes.plot(numbers, [row.half_sse for row in study.subsets], "o-", color="#0b6bcb")
    for line, label in zip(axes.lines, ("published", "ours"), strict=True):
        line.set(markersize=3, label=label)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0.0)
    axes.set_title("half SSE over all 228")
    axes.set_xlabel("points fitted")
    axes.legend(frameon=False)
