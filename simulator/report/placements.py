"""Placements of experts side by side, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from simulator.models.architecture import Architecture
from simulator.report.plots import drawing, legend_above
from simulator.report.tables import frame, say, show
from simulator.study.routing.placements import Batch, PlacementLoads


def print_placements(
    found: Sequence[PlacementLoads],
    arch: Architecture,
    batch: Batch,
    topology: str,
    console: Console,
) -> None:
    """Print what each placement makes of the slowest rank."""
    table = frame(
        "placement", "popularity>", "in steps>", "active>", "moved>", "takes>", unbroken=1
    )
    for one in found:
        table.add_row(
            one.name,
            f"{one.popularity[0]:.3f}",
            f"{one.steps[0]:.3f}",
            f"{one.active:.1f}",
            f"{one.moved_bytes / 1e9:.1f} GB",
            f"{one.moving_s * 1e3:.0f} ms",
        )
    ranks = found[0].placement.ranks
    title = f"Load of the slowest of {ranks} ranks over the mean: {arch.title}"
    show(console, title, table)
    first, best = found[0], min(found, key=lambda one: float(one.steps[0]))
    replicas = int(best.placement.replicas[0].sum()) - best.placement.experts
    say(
        console,
        f"Steps of {batch.requests} x {batch.query_tokens} tokens. Popularity counts all tokens "
        f"together; a step adds chance, and requests that prefer the same experts.",
        f"{best.name} cuts the slowest rank of a step from {first.steps[0]:.3f} to "
        f"{best.steps[0]:.3f} times the mean, and with it the time of experts where computation "
        f"rules.",
        f"active: distinct experts on the rank with most. moved: weights fetched from other ranks "
        f"to come from {first.name}, over {topology} with nothing else on it.",
        f"In a run: hardware.expert_parallel={ranks} experts.redundant={replicas} "
        f"experts.fidelity=sampled routing=sampled experts.placement=FILE, the one below.",
    )


def plot_placements(found: Sequence[PlacementLoads], batch: Batch, destination: Path | str) -> Path:
    """Draw the loads of the ranks, busiest first, a line for each placement.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    with drawing(destination, width=8.4, height=3.6) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        rank = np.arange(1, found[0].placement.ranks + 1)
        for one in found:
            for axes, loads in zip(panels, (one.popularity, one.steps), strict=True):
                axes.plot(rank, loads, "o-", markersize=3, label=one.name)
        steps = f"in steps of {batch.requests} x {batch.query_tokens} tokens"
        for axes, title in zip(panels, ("all tokens together", steps), strict=True):
            axes.axhline(1.0, color="#999999", linewidth=0.8)
            axes.set_title(title)
            axes.set_xlabel("rank, busiest first")
        panels[0].set_ylabel("load over the mean")
        legend_above(figure, panels[-1])
    return Path(destination)
