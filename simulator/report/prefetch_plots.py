"""Pictures of a study of prefetchers: misses before and after, memory, TPOT by batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.plots import CURVE_COLOURS, double, drawing
from simulator.report.prefetch_names import NAMES
from simulator.study.prefetch.crossover import crossover
from simulator.study.prefetch.findings import WHEN, recipe_names, served_arms
from simulator.study.prefetch.memory import Peaks
from simulator.study.prefetch.model_run import ServedStudy
from simulator.study.prefetch.served import (
    AFTER,
    BEFORE,
    SWITCHED,
    UNPREDICTED,
    by_batch,
    tpot_ratio,
)
from simulator.study.prefetch.shift import UNTRAINED, Row, misses_ratio
from simulator.study.prefetch.study import PrefetchStudy
from simulator.trace.statistics import upper
from simulator.units import KIB, MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {BEFORE: "#7a7a7a", AFTER: "#0b6bcb"}


def plot_prefetch(found: PrefetchStudy, destination: Path | str) -> Path:
    """Draw misses by recipe, memory by rows and, where a model was served, TPOT by batch.

    Parameters
    ----------
    found
        What was found.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    panels = 2 if found.served is None else 6
    with drawing(destination, width=9.6, height=3.4 * (panels // 2)) as picture:
        axes = np.ravel(picture.subplots(panels // 2, 2))
        _draw_misses(axes[0], found.rows)
        _draw_memory(axes[1], found.memory)
        if found.served is not None:
            for place, when in enumerate(WHEN):
                _draw_times(axes[2 + place], found.served, when)
                _draw_ratios(axes[4 + place], found.served, when)
    return Path(destination)


def _draw_misses(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw misses over those of plain cross-entropy, with intervals, one line a recipe."""
    names = [name for name in recipe_names(rows) if name not in (*UNTRAINED, "ce")][::-1]
    places = np.arange(len(names))
    for offset, when in zip((0.12, -0.12), WHEN, strict=True):
        told = {
            place + offset: one
            for place, name in enumerate(names)
            if (one := misses_ratio(rows, name, when)) is not None
        }
        values = np.array([one.value for one in told.values()])
        high = np.array([upper(one) for one in told.values()])  # as far below as above
        axes.errorbar(
            values, list(told), xerr=high - values, fmt="o", color=_COLOURS[when], label=when
        )
    axes.axvline(1.0, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_yticks(places, [NAMES[name] for name in names])
    axes.set_ylim(-0.6, len(names) - 0.1)
    axes.set_xlabel("misses over those of plain cross-entropy")
    axes.set_title("Misses by training, before and after the change")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def _draw_memory(axes: Axes, memory: Sequence[Peaks]) -> None:
    rows = [one.rows for one in memory]
    lines = {
        "sum over pairs": [one.naive_bytes for one in memory],
        "linear form": [one.linear_bytes for one in memory],
        "bank, an eighth of the rows": [one.banked_bytes for one in memory],
    }
    for colour, (label, sizes) in zip(CURVE_COLOURS, lines.items(), strict=False):
        axes.plot(rows, np.array(sizes) / KIB, "o-", color=colour, label=label, markersize=3.5)
    double(axes)
    axes.set_yscale("log")
    axes.set_xlabel("rows of a batch")
    axes.set_ylabel("peak memory (KiB)")
    axes.set_title("Memory of the AUC loss")
    axes.legend(frameon=False, fontsize=8)


def _draw_times(axes: Axes, served: ServedStudy, when: str) -> None:
    """Draw median TPOT of all arms, mean over replications."""
    for arm in served_arms(served):
        times = by_batch(served.measured, arm, when)
        means = [np.mean(one) / MS for one in times.values()]
        axes.plot(list(times), means, **_line(served, arm))
    double(axes)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("batch (requests)")
    axes.set_ylabel("median TPOT (ms)")
    axes.set_title(f"Time per output token {when} the change")
    axes.legend(frameon=False, fontsize=7)


def _draw_ratios(axes: Axes, served: ServedStudy, when: str) -> None:
    """Draw median TPOT over that on demand, with intervals, and mark where it is no less."""
    for arm in served_arms(served):
        if arm in UNPREDICTED:
            continue
        found = tpot_ratio(served.measured, arm, when)
        batches, ratios = list(found), list(found.values())
        values = np.array([one.value for one in ratios])
        line = _line(served, arm)
        axes.plot(batches, values, **line)
        half = np.array([upper(one) for one in ratios]) - values
        axes.fill_between(
            batches, values - half, values + half, color=line["color"], alpha=0.15, linewidth=0.0
        )
        useless = crossover(served.measured, arm, when)
        if arm in served.serving.predictors and useless is not None:
            mark = {"color": line["color"], "markersize": 10, "markeredgewidth": 2}
            axes.plot(useless, found[useless].value, "x", **mark)
    axes.axhline(1.0, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))
    double(axes)
    axes.set_xlabel("batch (requests)")
    axes.set_ylabel("median TPOT over that on demand")
    axes.set_title(f"Prefetching {when} the change (x: crossover)")
    axes.legend(frameon=False, fontsize=7)


def _line(served: ServedStudy, arm: str) -> dict[str, Any]:
    """Return how the line of an arm is drawn, in all panels alike."""
    colour = CURVE_COLOURS[served_arms(served).index(arm) % len(CURVE_COLOURS)]
    dashes = (0, (3, 2)) if arm == SWITCHED else "-"
    return {"color": colour, "label": NAMES[arm], "marker": "o", "markersize": 3, "ls": dashes}
