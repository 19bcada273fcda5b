"""Pictures of a study of defences: what noise and limits do to attacks and to ordinary users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.plots import drawing, legend_above
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.models import NONE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = (
    ("majority", "succeeded by majority (share)", 1.0),
    ("first_hit", "misclassified once (share)", 1.0),
    ("queries_per_session", "queries per session", 1.0),
    ("attack_gpu_s_per_h", "attack load (GPU-s per hour)", 1.0),
    ("benign_p95_s", "p95 of ordinary queries (ms)", 1e3),
    ("accuracy", "clean accuracy", 1.0),
)
"""Figure, title and factor of each panel."""

_SHARES = ("majority", "first_hit")

_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b", "#7251b5", "#7a7a7a")
_LINES = {"rnd": "-", "rnd_gf": "--", "rnd_at": ":"}


def plot_defence(frontier: Frontier, destination: Path | str) -> Path:
    """Draw six figures against the noise, a line per limit and defence.

    Parameters
    ----------
    frontier
        What was found.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    question = frontier.question
    limits = list(dict.fromkeys(found.case.rate_limit_per_s for found in frontier.measured))
    with drawing(destination, width=9.6, height=5.6) as figure:
        panels = figure.subplots(2, 3).reshape(-1)
        for axes, (name, title, scale) in zip(panels, _PANELS, strict=True):
            for colour, limit in zip(_COLOURS, limits, strict=False):
                for defence in question.defences:
                    line = _line(frontier, defence, limit)
                    label = _label(defence, limit)
                    _draw(axes, line, name, scale, colour, _LINES[defence], label)
            axes.set_title(title)
            axes.set_xlabel("noise nu")
            if name in _SHARES:
                axes.set_ylim(0.0, 1.02)
            elif name != "accuracy":
                axes.set_ylim(bottom=0.0)
        peace = frontier.peace.mean("benign_p95_s")
        if peace is not None:
            panels[4].axhline(1e3 * peace.value, color="#9a9a9a", linewidth=0.8)
        legend_above(figure, panels[0], columns=3)
    return Path(destination)


def _line(frontier: Frontier, defence: str, limit: float) -> Sequence[Measured]:
    """Return the cases of a limit and a defence, from no noise on."""
    return [
        found
        for found in frontier.measured
        if found.case.attacked
        and found.case.rate_limit_per_s == limit
        and found.case.defence in (NONE, defence)
    ]


def _draw(
    axes: Axes,
    line: Sequence[Measured],
    name: str,
    scale: float,
    colour: str,
    style: str,
    label: str,
) -> None:
    """Draw means, and bars of their intervals where replications give some."""
    for_line, low, high = [], [], []
    for found in line:
        interval = None if name == "accuracy" else found.mean(name)
        value = found.accuracy if interval is None else interval.value
        for_line.append(scale * value)
        known = interval is not None and interval.low is not None and interval.high is not None
        low.append(scale * (value - interval.low) if known else 0.0)  # type: ignore[union-attr,operator]
        high.append(scale * (interval.high - value) if known else 0.0)  # type: ignore[union-attr,operator]
    axes.errorbar(
        [found.case.nu for found in line],
        for_line,
        yerr=[low, high],
        color=colour,
        linestyle=style,
        marker="o",
        markersize=3.5,
        linewidth=1.4,
        elinewidth=0.7,
        label=label,
    )


def _label(defence: str, limit: float) -> str:
    return f"{defence}, " + ("no limit" if math.isinf(limit) else f"{limit:g}/s per tenant")
