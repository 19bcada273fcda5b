"""Pictures of a control study: regret, errors of the estimate, draft length by belief."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.control import TITLES
from simulator.report.plots import drawing
from simulator.study.control.study import ControlStudy
from simulator.study.control.tables import along_phase

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"mixed": "#0b6bcb", "seeu": "#d1495b", "sm_ucrl": "#e08e0b"}
_DRAFTS = ("#dbe9f6", "#8ebbe0", "#3a81c2", "#0a4a8f", "#072f5f")
"""Colours of draft lengths, short to long."""
_SHARES = 201


def plot_control(found: ControlStudy, destination: Path | str) -> Path:
    """Draw regret against intervals, errors against intervals, and the tables.

    Parameters
    ----------
    found
        The study.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=11.0, height=3.6) as figure:
        regret, errors, tables = figure.subplots(1, 3, width_ratios=(1.25, 1.0, 1.0))
        _draw_regret(regret, found)
        _draw_errors(errors, found)
        _draw_tables(tables, found)
    return Path(destination)


def _draw_regret(axes: Axes, found: ControlStudy) -> None:
    at = np.array(found.checkpoints)
    for name, band in found.bands.items():
        axes.fill_between(at, band.low, band.high, color=_COLOURS[name], alpha=0.18, linewidth=0)
        axes.plot(at, band.mean, color=_COLOURS[name], label=TITLES[name])
    for rule, style in ((found.best_fixed, "-"), (found.best_rule, ":")):
        line = (found.gain - rule.gain) * at
        label = TITLES.get(rule.name, f"{rule.name}, the best fixed")
        axes.plot(at, line, color="#7a7a7a", linestyle=style, linewidth=1.2, label=label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("intervals")
    axes.set_ylabel("regret against the oracle")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.3g}k" if value else "0")
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    seeds = len(found.runs["mixed"].seeds)
    axes.set_title(f"mean of {seeds} seeds, 95 % bootstrap band" if seeds > 1 else "one seed")


def _draw_errors(axes: Axes, found: ControlStudy) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - see `plots.drawing`

    at = [max(row.interval, 1) for row in found.estimates]
    shown = {
        "observation_error": (r"$\|\hat O - O\|_F$", "#0b6bcb"),
        "transition_error": (r"$\max_a \|\hat T_a - T_a\|_F$", "#d1495b"),
    }
    for key, (label, colour) in shown.items():
        values = [getattr(row, key) for row in found.estimates]
        axes.plot(at, values, "o", markersize=3, alpha=0.6, color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,g}k")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(axis="x", labelsize=7)  # a short range has many ticks
    axes.set_xlabel("intervals before the estimate")
    axes.legend(frameon=False, loc="best", fontsize=8)
    axes.set_title("errors of the mixed learner's models")


def _draw_tables(axes: Axes, found: ControlStudy) -> None:
    """Draw the draft length over the chance of the easy phase, oracle above learner."""
    gammas, names = found.found.instance.gammas, found.found.bucket_names
    shares = np.linspace(0.0, 1.0, _SHARES)
    rows, labels = [], []
    for who, plan in (("oracle", found.oracle), ("learned", found.learned)):
        chosen = along_phase(plan, gammas, found.found.buckets, shares)
        if chosen is None:
            continue
        rows += list(np.searchsorted(gammas, chosen))
        labels += [f"{who}, {name}" for name in names]
    axes.set_title("draft length by belief")
    axes.grid(visible=False)
    if not rows:
        axes.text(0.5, 0.5, "states have no order", ha="center", transform=axes.transAxes)
        return
    from matplotlib.colors import ListedColormap  # noqa: PLC0415 - see `plots.drawing`

    steps = np.linspace(0, len(_DRAFTS) - 1, len(gammas)).round().astype(int)
    colours = [_DRAFTS[step] for step in steps]
    axes.imshow(
        np.array(rows),
        aspect="auto",
        extent=(0.0, 1.0, len(rows), 0.0),
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(gammas) - 0.5,
        interpolation="nearest",
    )
    for edge in range(1, len(rows)):
        axes.axhline(edge, color="white", linewidth=3)
    axes.set_yticks(np.arange(len(rows)) + 0.5, labels, fontsize=8)
    axes.set_xlabel("believed chance of the easy phase")
    for gamma, colour in zip(gammas, colours, strict=True):
        axes.plot([], [], "s", color=colour, label=f"{gamma}", markeredgecolor="#9a9a9a")
    axes.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=8,
        title="gamma",
        title_fontsize=8,
    )
