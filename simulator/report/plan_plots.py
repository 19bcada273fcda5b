"""The picture of a plan: throughput of a GPU against interactivity, the Pareto front drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.hardware.gpu import load_gpu
from simulator.report.plots import CURVE_COLOURS, drawing
from simulator.study.plan.result import OperatingPoint, Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALL, _LARGE = 14, 48
"""Areas of the marks of closed forms and of simulations, points squared."""


def plot_pareto(plan: Plan, destination: Path | str) -> Path:
    """Draw the operating points of a plan.

    A colour for each kind of GPU, filled where speculation is on, large where a simulation showed
    the point. The line joins the closed forms that no other beats in both.

    Parameters
    ----------
    plan
        The plan.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    points = plan.operating_points
    gpus = list(dict.fromkeys(point.deployment.gpu for point in points))
    with drawing(destination, width=7.2, height=4.2) as figure:
        axes = figure.subplots()
        for index, gpu in enumerate(gpus):
            own = [point for point in points if point.deployment.gpu == gpu]
            _draw(axes, own, CURVE_COLOURS[index % len(CURVE_COLOURS)], load_gpu(gpu).title)
        _draw_front(axes, [point for point in points if point.pareto])
        axes.set_xlabel("interactivity (output tokens/s of a user)")
        axes.set_ylabel("throughput (output tokens/s of a GPU)")
        axes.set_axisbelow(True)
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        if points:
            _explain_marks(axes)
            figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return Path(destination)


def _draw(axes: Axes, points: Sequence[OperatingPoint], colour: str, label: str) -> None:
    """Draw the points of one kind of GPU; the label stands for its colour."""
    axes.scatter([], [], s=_LARGE, color=colour, label=label)
    for speculates in (True, False):
        some = [point for point in points if point.deployment.speculates == speculates]
        axes.scatter(
            *_coordinates(some),
            s=[_LARGE if point.simulated else _SMALL for point in some],
            facecolors=colour if speculates else "none",
            edgecolors=colour,
            linewidths=0.9,
            alpha=0.85,
        )


def _draw_front(axes: Axes, front: Sequence[OperatingPoint]) -> None:
    ordered = sorted(front, key=lambda point: point.tokens_per_s_per_user)
    label = "Pareto front" if ordered else None
    axes.plot(*_coordinates(ordered), color="#404040", linewidth=1.0, zorder=0, label=label)


def _coordinates(points: Iterable[OperatingPoint]) -> tuple[list[float], list[float]]:
    found = [(point.tokens_per_s_per_user, point.tokens_per_s_per_gpu) for point in points]
    return [user for user, _ in found], [gpu for _, gpu in found]


def _explain_marks(axes: Axes) -> None:
    """Add grey marks to the legend that say what filling and size mean."""
    grey = "#7a7a7a"
    for label, size, filled in (
        ("SD on, simulated", _LARGE, True),
        ("SD off, simulated", _LARGE, False),
        ("closed form", _SMALL, True),
    ):
        face = grey if filled else "none"
        axes.scatter([], [], s=size, facecolors=face, edgecolors=grey, label=label)
