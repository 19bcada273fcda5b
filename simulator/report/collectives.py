"""How far collectives can be trusted, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from simulator.report.figures import ABSENT, fine_percent, seconds, signed_percent
from simulator.report.plots import drawing
from simulator.report.tables import frame, say, show
from simulator.study.tables.closed_forms import Agreement
from simulator.study.tables.left_out import LeftOut, median
from simulator.study.tables.reported_exchange import Beside
from simulator.study.tables.validate import pooled
from simulator.study.tables.validate_collectives import (
    CLOSED_FORM_GOAL,
    GOAL,
    LEFT_OUT,
    NODES_ON,
    CollectivesValidation,
    by_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLLECTIVES = {
    "all_reduce": "own a.-r.",
    "nccl_all_reduce": "all-reduce",
    "nccl_all_gather": "all-gather",
    "nccl_reduce_scatter": "red.-sc.",
    "nccl_all_to_all": "all-to-all",
}
_EXCHANGES = {
    "deepep_low_latency_dispatch": "LL dispatch",
    "deepep_low_latency_combine": "LL combine",
    "deepep_high_throughput_dispatch": "HT dispatch",
    "deepep_high_throughput_combine": "HT combine",
}
_COLLECTIVE_SIZES = "One message size left out, interpolated (measured)"
_TITLES = {
    "sizes": "DeepEP: one number of tokens left out, interpolated (measured)",
    "models": "DeepEP: one model left out, read from the nearest other (fitted)",
    "nodes": "DeepEP: one number of nodes left out, from fewer by alpha-beta (assumed)",
}
_PANELS = {
    "sizes": "a message size left out",
    "models": "a model left out",
    "nodes": "a number of nodes left out",
}
_COLOURS = {"own": "#0b6bcb", "nccl": "#7a7a7a", "low": "#d1495b", "high": "#2a9d5c"}
_FAMILIES = {
    "own": "all-reduce of the engine",
    "nccl": "NCCL",
    "low": "DeepEP low latency",
    "high": "DeepEP high throughput",
}
_FARTHEST = 0.6
"""Errors beyond lie on the edge of the picture."""


def print_collectives(validation: CollectivesValidation, console: Console) -> None:
    """Print a table for each thing that was left out, and one of topologies; fits 80 columns."""
    _print_left_out(validation, "sizes", _COLLECTIVES, _COLLECTIVE_SIZES, console)
    for left_out in LEFT_OUT:
        _print_left_out(validation, left_out, _EXCHANGES, _TITLES[left_out], console)
    _say_left_out(validation, console)
    if validation.reported:
        _print_reported(validation.reported, console)
    if validation.topologies:
        _print_topologies(validation.topologies, console)


def _print_left_out(
    validation: CollectivesValidation,
    left_out: str,
    names: dict[str, str],
    title: str,
    console: Console,
) -> None:
    table = frame("gpu", *(f"{heading}>" for heading in names.values()), tight=True, unbroken=1)
    for gpu in validation.gpus:
        found = by_name(gpu, left_out)
        if any(name in found for name in names):
            table.add_row(gpu.gpu, *(_median_and_worst(found.get(name)) for name in names))
    if table.row_count:
        show(console, title, table)


def _median_and_worst(table: LeftOut | None) -> str:
    if table is None:
        return ABSENT
    return f"{100 * table.median:.1f}/{100 * table.relative_errors.max():.0f}%"


def _say_left_out(validation: CollectivesValidation, console: Console) -> None:
    whole = {
        left_out: median(pooled(t.relative_errors for t in validation.tables(left_out)))
        for left_out in LEFT_OUT
    }
    missed = ", ".join(f"{table.operator} on {table.gpu}" for table in validation.missed())
    sentences = [
        "Median/worst relative error. own a.-r.: the engine's all-reduce; the other collectives "
        "are NCCL's. LL, HT: low-latency and high-throughput kernels.",
        f"Sizes: {fine_percent(whole['sizes'])} at the median; above the aim of "
        f"{fine_percent(GOAL)}: {missed}."
        if missed
        else f"Sizes: {fine_percent(whole['sizes'])} at the median, every table within the aim of "
        f"{fine_percent(GOAL)}.",
    ]
    if validation.tables("nodes"):
        sentences.append(
            f"Models: {fine_percent(whole['models'])}; nodes: {fine_percent(whole['nodes'])}, on "
            f"{NODES_ON}. Farthest off are high-throughput kernels over two nodes from one: a "
            "notice goes before their tokens, and they reach 0.64 to 0.77 of the cards' peak."
        )
    say(console, *sentences)


def _print_reported(reported: Sequence[Beside], console: Console) -> None:
    table = frame("", "GPUs>", "reported>", "ours>", "off by>", "known")
    for one in reported:
        times = (seconds(one.reported_s), seconds(one.ours_s))
        table.add_row(one.phase, str(one.gpus), *times, signed_percent(one.error), one.kind)
    show(console, "DeepEP's low-latency kernels as its README reports them, H800", table)
    say(
        console,
        "128 tokens a GPU, DeepSeek-V3's width; the reported figures are from memory. Nothing of "
        "ours was made of them: the tables were measured on H100, with the same cards.",
    )


def _print_topologies(topologies: Sequence[Agreement], console: Console) -> None:
    table = frame(
        *("topology", "GPUs>", "collectives>", "exchanges>", "two flows>"),
        tight=True,
        unbroken=1,
    )
    for one in topologies:
        errors = (f"{100 * e:.2f}%" for e in (one.collectives_error, one.exchanges_error))
        ratio = f"{one.two_flows[1]:.4f}x"
        table.add_row(one.topology, str(one.gpus), *errors, ratio)
    show(console, "Closed forms against transfers that share links, worst error", table)
    beyond = [
        one.topology
        for one in topologies
        if max(one.collectives_error, one.exchanges_error) > CLOSED_FORM_GOAL
    ]
    limit = fine_percent(CLOSED_FORM_GOAL)
    say(
        console,
        "two flows: how much longer two equal transfers of one route take than one; the largest.",
        f"Above {limit}: {', '.join(beyond)}. Where rails and islands share a link, the closed "
        "form takes the longest latency after the fullest link, which is a bound from above."
        if beyond
        else f"All within {limit}.",
    )


def plot_collectives(validation: CollectivesValidation, destination: Path | str) -> Path:
    """Draw how far off predictions are over measured times, a panel for each thing left out.

    Parameters
    ----------
    validation
        What was left out and predicted.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=11.0, height=3.9) as figure:
        panels = figure.subplots(1, len(LEFT_OUT), sharey=True)
        for axes, left_out in zip(panels, LEFT_OUT, strict=True):
            _draw(axes, validation.tables(left_out))
            axes.set_title(_PANELS[left_out])
            axes.set_xlabel("measured (s)")
        panels[0].set_ylabel("predicted over measured, less one")
        panels[0].set_ylim(-_FARTHEST, _FARTHEST)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, frameon=False, loc="outside upper center", ncols=4, markerscale=4
        )
    return Path(destination)


def _draw(axes: Axes, tables: Sequence[LeftOut]) -> None:
    for family, label in _FAMILIES.items():
        mine = [table for table in tables if _family(table) == family]
        measured = pooled(table.measured for table in mine)
        errors = pooled(table.predicted / table.measured - 1 for table in mine)
        axes.semilogx(
            measured,
            np.clip(errors, -_FARTHEST, _FARTHEST),
            ".",
            markersize=2.5,
            alpha=0.6,
            color=_COLOURS[family],
            label=label,
            rasterized=True,
        )
    for edge in (-GOAL, GOAL):
        axes.axhline(edge, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))


def _family(table: LeftOut) -> str:
    if table.operator.startswith("nccl"):
        return "nccl"
    if table.operator.startswith("deepep"):
        return "low" if "low_latency" in table.operator else "high"
    return "own"
