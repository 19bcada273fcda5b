"""Loads of ranks and links of a run in which the dispatch of experts is followed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from simulator.report.figures import fine_percent
from simulator.report.html.blocks import Section, Table, charts, section
from simulator.report.html.chart import Axis, Chart, Line, Rule
from simulator.report.html.grids import plain_table
from simulator.report.html.run.source import RunSource
from simulator.report.plots import ARM_STYLES
from simulator.trace.read import chunks, open_trace
from simulator.trace.schema import ARMS

_LINKS_SHOWN = 10

Floats = np.ndarray[Any, np.dtype[np.float64]]


def experts_section(source: RunSource) -> Section | None:
    """Return how uneven ranks are by layer, and which links are used most; None without tables."""
    tables = source.tables
    ranks = _rank_chart(tables["expert_loads"]) if "expert_loads" in tables else None
    links = _link_table(tables["links"]) if "links" in tables else None
    return section("experts", "Ranks and links", charts([ranks]), links)


def _rank_chart(path: Path) -> Chart | None:
    lines = []
    for arm, (layers, ratios) in _shares(path).items():
        label, colour = ARM_STYLES[arm]
        lines.append(Line(name=label, x=layers, y=ratios.tolist(), colour=colour))
    if not lines:
        return None
    return Chart(
        key="rank-loads",
        title="The rank with most to do, by layer",
        caption="Token copies that the busiest rank of a layer computes over the whole run, over "
        "the mean of all ranks: what a placement leaves uneven. Single steps are more uneven.",
        x=Axis(title="MoE layer"),
        y=Axis(title="busiest / mean"),
        series=lines,
        rules=[Rule(at=1.0, label="even")],
        shared_x=True,
        wide=True,
    )


def _shares(path: Path) -> dict[str, tuple[list[int], Floats]]:
    """Return layers, and the load of the busiest rank over the mean in each, by arm."""
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros((0, 0)))
    for run, rows in chunks(path, "expert_loads", ("layer", "rank", "tokens")):
        layer, rank = rows["layer"].astype(np.int64), rows["rank"].astype(np.int64)
        shape = int(layer.max()) + 1, int(rank.max()) + 1
        size = shape[0] * shape[1]
        flat = np.bincount(layer * shape[1] + rank, rows["tokens"], size).astype(np.float64)
        sums[run.arm] = _joined(sums[run.arm], flat.reshape(shape))
    found = {}
    for arm in ARMS:
        totals = sums[arm]
        layers = np.flatnonzero(totals.sum(axis=1) > 0) if totals.size else np.zeros(0, np.int64)
        if layers.size:
            kept = totals[layers]
            found[arm] = layers.tolist(), kept.max(axis=1) / kept.mean(axis=1)
    return found


def _joined(one: Floats, other: Floats) -> Floats:
    """Add arrays of different shapes."""
    total = np.zeros(np.maximum(one.shape, other.shape))
    for each in (one, other):
        total[: each.shape[0], : each.shape[1]] += each
    return total


def _link_table(path: Path) -> Table | None:
    """Return the links that carry most at their busiest, both arms."""
    peaks: dict[str, dict[str, float]] = defaultdict(dict)
    with open_trace(path, "links") as file:
        for index in range(file.num_row_groups):
            rows = file.read_row_group(index, columns=["arm", "link", "utilisation"])
            most = rows.group_by(["arm", "link"]).aggregate([("utilisation", "max")])
            for row in most.to_pylist():
                before = peaks[str(row["link"])].get(str(row["arm"]), 0.0)
                peaks[str(row["link"])][str(row["arm"])] = max(before, row["utilisation_max"])
    busiest = sorted(peaks.items(), key=lambda one: (-max(one[1].values()), one[0]))
    rows_shown = [(link, *(fine_percent(used.get(arm)) for arm in ARMS)) for link, used in busiest][
        :_LINKS_SHOWN
    ]
    if not rows_shown:
        return None
    caption = (
        "Utilisation of the busiest links in the interval in which each was used most"
        f" ({len(rows_shown)} of {len(peaks)})"
    )
    return plain_table(caption, ["link", "SD off>", "SD on>"], rows_shown)
