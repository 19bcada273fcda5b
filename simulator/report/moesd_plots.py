"""MoESD's curves beside the published points, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.plots import drawing, legend_above
from simulator.study.moesd.bottom_up import BottomUp, Pair, Sparsity
from simulator.study.moesd.experiment import MOE
from simulator.study.moesd.scores import Reproduced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS, _BEFORE, _PUBLISHED = "#0b6bcb", "#9a9a9a", "#d1495b"

_COLOURS = ("#7251b5", "#0b6bcb", "#11a3a3", "#2a9d5c", "#e08e0b", "#d1495b")

_DATA = {"humaneval": "HumanEval", "mtbench": "MT-Bench"}

_PANELS = (3, 4)
"""Rows and columns of the picture of speedups: eight curves of the MoE, three dense."""


def plot_speedups(found: BottomUp, destination: Path | str) -> Path:
    """Draw every speedup curve: published, simulated, and simulated without calibration.

    Parameters
    ----------
    found
        The curves.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    pairs = ((found.moe, found.moe_uncalibrated), (found.dense, found.dense_uncalibrated))
    curves = [both for pair, raw in pairs for both in _together(pair, raw)]
    with drawing(destination, width=10.4, height=7.0) as figure:
        panels = figure.subplots(*_PANELS).ravel()
        for axes, (one, before) in zip(panels, curves, strict=False):
            axes.plot(before.curve.batch, before.value, color=_BEFORE, linewidth=1.0, dashes=(4, 2))
            _draw(axes, one)
            _label(axes, _title(one))
        for axes in panels[len(curves) :]:
            axes.set_axis_off()
        _legend(panels[-1], panels[0])
        figure.supxlabel("batch (requests)", fontsize=9)
        figure.supylabel("speedup", fontsize=9)
    return Path(destination)


def plot_efficiency(found: BottomUp, destination: Path | str) -> Path:
    """Draw target efficiency of both pairs at gamma 4; arguments as in `plot_speedups`."""
    with drawing(destination, width=8.4, height=3.4) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, pair in zip(panels, (found.moe, found.dense), strict=True):
            _draw(axes, pair.efficiency)
            name = "Qwen2-57B-A14B" if pair.efficiency.curve.model == MOE else "OPT-30B"
            _label(axes, f"{name}, gamma 4 (fig. {pair.efficiency.curve.figure})")
            axes.set_ylim(0.0, 1.0)
            axes.set_xlabel("batch (requests)")
        panels[0].set_ylabel(r"target efficiency  $T(B, 1)\,/\,T(B, \gamma)$")
        panels[1].legend(frameon=False, loc="lower left")
    return Path(destination)


def plot_sparsity(found: BottomUp, destination: Path | str) -> Path:
    """Draw the speedup over its own peak for every K; arguments as in `plot_speedups`."""
    gammas = sorted({one.found.curve.gamma for one in found.sparsity}, reverse=True)
    with drawing(destination, width=9.6, height=6.0) as figure:
        panels = figure.subplots(2, len(gammas), sharex=True, sharey=True, squeeze=False)
        for column, gamma in enumerate(gammas):
            curves = [one for one in found.sparsity if one.found.curve.gamma == gamma]
            _draw_sparsity(panels[0][column], curves, published=True)
            _draw_sparsity(panels[1][column], curves, published=False)
            panels[0][column].set_title(f"gamma {gamma}, published (fig. 4)")
            panels[1][column].set_title(f"gamma {gamma}, simulated")
            panels[1][column].set_xlabel("batch (requests)")
        for row in panels:
            row[0].set_ylabel("speedup over its peak")
        shown = panels[0][0]
        legend_above(figure, shown, columns=len(shown.get_legend_handles_labels()[1]))
    return Path(destination)


def _together(pair: Pair, raw: Pair) -> Sequence[tuple[Reproduced, Reproduced]]:
    return list(zip(pair.speedups, raw.speedups, strict=True))


def _draw(axes: Axes, one: Reproduced) -> None:
    """Draw a curve of ours as a line and the published one as dots, open where calibrated on."""
    batch, predicted = np.array(one.curve.batch), one.predicted
    axes.plot(batch, one.value, color=_OURS, linewidth=1.6, label="simulated")
    for these, face, label in (
        (predicted, _PUBLISHED, "published"),
        (~predicted, "white", "published, calibrated on"),
    ):
        dots = axes.plot(batch[these], one.published[these], "o", color=_PUBLISHED, label=label)[0]
        dots.set(markersize=4.0, markerfacecolor=face)


def _draw_sparsity(axes: Axes, curves: Sequence[Sparsity], *, published: bool) -> None:
    """Draw curves over their own maximum, a colour per K, and the level of the window."""
    for one, colour in zip(curves, _COLOURS, strict=False):
        value = one.found.published if published else one.found.value
        label = f"K = {one.found.curve.top_k}"
        axes.plot(
            one.found.curve.batch, value / value.max(), color=colour, linewidth=1.3, label=label
        )
    axes.axhline(1 / np.sqrt(2), color="#333333", linewidth=0.8, linestyle=":")
    axes.set_ylim(0.3, 1.05)


def _label(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlim(0, 104)
    axes.set_ylim(bottom=0.0)


def _title(one: Reproduced) -> str:
    curve = one.curve
    name = "Qwen2" if curve.model == MOE else "OPT"
    return f"{name}, {_DATA[curve.dataset]}, T {curve.temperature}, gamma {curve.gamma}"


def _legend(empty: Axes, drawn: Axes) -> None:
    """Put the legend of a panel, and the line without calibration, into an empty panel."""
    handles, labels = drawn.get_legend_handles_labels()
    before = drawn.lines[0]
    names = [*labels, "simulated, nothing calibrated"]
    empty.legend([*handles, before], names, frameon=False, loc="center")
