"""The picture of a run over time: queue, batch and KV cache, speculation off and on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.plots import ARM_STYLES, drawing
from simulator.trace.metrics import read_requests
from simulator.trace.schema import ARMS
from simulator.trace.timeline import Timeline, timelines
from simulator.trace.windows import windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 240
"""Bins of the time axis: as fine as the picture shows."""

_LEGEND = "time (s); lines and bands: mean and range over replications; between dots: measured"

_PANELS = {
    "waiting": "waiting requests",
    "decoding": "decoding requests",
    "kv_usage": "KV blocks taken",
}


def plot_timeline(
    requests_path: Path | str,
    iterations_path: Path | str,
    destination: Path | str,
    warmup_fraction: float,
) -> Path:
    """Draw queue, batch and KV cache over time, both arms: mean and range over replications.

    The stretch that is measured in most replications lies between two dotted lines.

    Parameters
    ----------
    requests_path, iterations_path
        The two files of a trace.
    destination
        File to write; the suffix decides the format.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).

    Returns
    -------
    Path
        ``destination``.

    Raises
    ------
    DataError
        If a file is not a trace of its table.
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    requests = read_requests(requests_path)
    end_s = max((float(rows["left_s"].max()) for rows in requests.values()), default=0.0)
    found = timelines(iterations_path, end_s, BINS) if end_s > 0.0 else {}
    spans = windows(requests, warmup_fraction).values()
    with drawing(destination, width=9.6, height=4.6) as figure:
        panels = figure.subplots(len(_PANELS), 1, sharex=True)
        for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
            for arm in ARMS:
                runs = [timeline for run, timeline in found.items() if run.arm == arm]
                if runs:
                    _draw(axes, runs, name, *ARM_STYLES[arm])
            for bound in ("start_s", "end_s") if spans else ():
                measured_s = float(np.median([getattr(span, bound) for span in spans]))
                axes.axvline(measured_s, color="#9a9a9a", linewidth=0.9, linestyle=":")
            axes.set_ylabel(title)
            axes.set_ylim(bottom=0.0)
        panels[-1].yaxis.set_major_formatter(_percent)
        panels[-1].set_xlabel(_LEGEND)
        panels[-1].set_xlim(0.0, end_s or 1.0)
        if panels[0].lines and found:
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=2)
    return Path(destination)


def _draw(axes: Axes, runs: list[Timeline], name: str, label: str, colour: str) -> None:
    """Draw the mean over replications, and the range between the lowest and the highest."""
    values = np.array([getattr(run, name) for run in runs])
    edges_s = runs[0].edges_s
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2
    axes.plot(middle_s, values.mean(axis=0), color=colour, label=label, linewidth=1.4)
    if len(runs) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(middle_s, low, high, color=colour, alpha=0.15, linewidth=0.0)


def _percent(value: float, _: Any) -> str:
    return f"{100 * value:.0f} %"
