"""Measured against simulated: steps, and the latencies of replayed runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.figures import signed_percent
from simulator.report.plots import drawing
from simulator.study.engines.calibration import Predicted
from simulator.study.engines.replay import FIGURES, Replay
from simulator.study.engines.requests import Latencies
from simulator.units import MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLAIN, _ROUND, _MEASURED, _SIMULATED = "#0b6bcb", "#d1495b", "#7a7a7a", "#0b6bcb"

_TITLES = {
    "ttft_s": "time to first token (s)",
    "tpot_s": "time per output token (s)",
    "e2e_s": "end-to-end latency (s)",
}


def plot_steps(predicted: Sequence[Predicted], destination: Path | str) -> Path:
    """Draw predicted over measured steps; fitted rows open, predicted ones full.

    Parameters
    ----------
    predicted
        The rows, at least one.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=4.8, height=4.4) as figure:
        _draw_steps(figure.subplots(), predicted)
    return Path(destination)


def _draw_steps(axes: Axes, predicted: Sequence[Predicted]) -> None:
    measured = np.array([one.row.step_s / MS for one in predicted])
    for rounds, colour in ((False, _PLAIN), (True, _ROUND)):
        for role, face in (("calibrate", "none"), ("check", colour)):
            these = [p for p in predicted if bool(p.row.gamma) == rounds and p.row.role == role]
            if not these:
                continue
            kind = "round" if rounds else "plain step"
            axes.loglog(
                [p.row.step_s / MS for p in these],
                [p.times.step_s / MS for p in these],
                "o",
                color=colour,
                markerfacecolor=face,
                markersize=5,
                label=f"{kind}, {'fitted' if role == 'calibrate' else 'predicted'}",
            )
    span = np.array([measured.min() / 1.2, measured.max() * 1.2])
    for factor, style in ((1.0, "-"), (0.9, ":"), (1.1, ":")):
        axes.loglog(span, factor * span, style, color="#333333", linewidth=0.8)
    axes.set_xlabel("measured step (ms); dotted: 10 % off")
    axes.set_ylabel("predicted step (ms)")
    axes.legend(frameon=False, loc="upper left")


def plot_replays(replays: Sequence[Replay], destination: Path | str) -> Path:
    """Draw distributions of measured and simulated TTFT, TPOT and E2E, a row of panels per run.

    Parameters and errors as in `plot_steps`.
    """
    with drawing(destination, width=9.6, height=0.4 + 2.6 * len(replays)) as figure:
        panels = figure.subplots(len(replays), len(FIGURES), squeeze=False)
        for row, one in zip(panels, replays, strict=True):
            for axes, name in zip(row, FIGURES, strict=True):
                _draw_distributions(axes, one.run.latencies, one.simulated, name)
                axes.set_title(f"median {signed_percent(one.median_error(name))}")
            row[0].set_ylabel(f"{one.run.name}\nshare of requests", fontsize=7)
        panels[0][-1].legend(frameon=False, loc="lower right")
    return Path(destination)


def _draw_distributions(axes: Axes, measured: Latencies, simulated: Latencies, name: str) -> None:
    for what, latencies, colour in (
        ("measured", measured, _MEASURED),
        ("simulated", simulated, _SIMULATED),
    ):
        values = np.sort(getattr(latencies, name))
        values = values[np.isfinite(values)]
        shares = (np.arange(values.size) + 0.5) / values.size
        axes.plot(values, shares, color=colour, label=what, linewidth=1.6)
    axes.set_xlabel(_TITLES[name])
    axes.set_ylim(0.0, 1.02)
