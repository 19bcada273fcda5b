"""A workload drawn: its rate over time, how counts scatter, lengths, reuse and clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.plots import drawing
from simulator.study.workloads.figures import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DATA, _REFERENCE, _OTHER = "#0b6bcb", "#7a7a7a", "#d1495b"

_TIME_UNITS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))

Curves = Mapping[str, Curve]


def plot_workload(curves: Curves, destination: Path | str) -> Path:
    """Draw a workload, a panel for each thing that is known of it.

    Parameters
    ----------
    curves
        As `study.workloads.figures.curves` has them.
    destination
        File to write; the suffix decides the format.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    panels = [draw for name, draw in _PANELS.items() if name in curves]
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    with drawing(destination, width=3.6 * columns, height=2.8 * rows) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, draw in zip(axes, panels, strict=False):
            draw(panel, curves)
        for empty in axes[len(panels) :]:
            empty.set_axis_off()
    return Path(destination)


def _draw_rate(axes: Axes, curves: Curves) -> None:
    at_s, rate = curves["rate"].at, curves["rate"].value
    scale, unit = next((one for one in _TIME_UNITS if at_s[-1] > 3 * one[0]), (1.0, "s"))
    axes.plot(at_s / scale, rate, color=_DATA, linewidth=0.8)
    axes.axhline(float(rate.mean()), color=_REFERENCE, linewidth=0.9, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"time since the first request ({unit})")
    axes.set_title("arrival rate (requests/s)")


def _draw_counts(axes: Axes, curves: Curves) -> None:
    window_s, cv2 = curves["count_cv2"].at, curves["count_cv2"].value
    # Fano = cv2 * mean count, so that cv2 / Fano is what Poisson counts of this rate have.
    poisson = cv2 / curves["fano"].value
    axes.loglog(window_s, cv2, "o-", color=_DATA, markersize=3, linewidth=1.2, label="here")
    axes.loglog(window_s, poisson, "--", color=_REFERENCE, linewidth=1.0, label="Poisson")
    axes.set_xlabel("window (s)")
    axes.set_title("squared CV of counts")
    axes.legend(frameon=False)


def _draw_lengths(axes: Axes, curves: Curves) -> None:
    for name, colour in (("prompt", _DATA), ("output", _OTHER)):
        curve = curves[f"{name}_tokens_cdf"]
        axes.step(curve.at, curve.value, where="post", color=colour, linewidth=1.2, label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("tokens")
    axes.set_title("lengths: share up to")
    axes.legend(frameon=False)


def _draw_reuse(axes: Axes, curves: Curves) -> None:
    tokens, share = curves["reuse"].at, curves["reuse"].value
    finite = np.isfinite(tokens)
    axes.semilogx(tokens[finite], 100 * share[finite], "o-", color=_DATA, markersize=3)
    axes.axhline(
        100 * float(share[~finite][0]),
        color=_REFERENCE,
        linewidth=1.0,
        linestyle="--",
        label="unlimited",
    )
    axes.set_ylim(0, 100)
    axes.set_xlabel("cache (tokens)")
    axes.set_title("prompt tokens reused (%)")
    axes.legend(frameon=False)


def _draw_day(axes: Axes, curves: Curves) -> None:
    curve = curves["day"]
    axes.step(curve.at, curve.value, where="post", color=_DATA, linewidth=1.2)
    axes.axhline(1.0, color=_REFERENCE, linewidth=0.9, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hour since the first request, modulo a day")
    axes.set_title("rate over mean rate")


def _draw_clients(axes: Axes, curves: Curves) -> None:
    curve = curves["clients"]
    axes.semilogx(curve.at, 100 * curve.value, color=_DATA, linewidth=1.2)
    axes.set_ylim(0, 102)
    axes.set_xlabel("busiest clients")
    axes.set_title("share of requests (%)")


_PANELS: dict[str, Callable[[Axes, Curves], None]] = {
    "rate": _draw_rate,
    "count_cv2": _draw_counts,
    "prompt_tokens_cdf": _draw_lengths,
    "reuse": _draw_reuse,
    "day": _draw_day,
    "clients": _draw_clients,
}
"""What is drawn, by the curve that it needs."""
