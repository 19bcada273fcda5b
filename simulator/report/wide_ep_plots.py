"""Wide expert parallelism, as pictures."""

from __future__ import annotations

from pathlib import Path

from simulator.report.plots import double, drawing, legend_above
from simulator.report.step_chart import draw_bars
from simulator.study.wide_ep.validate import WideEp
from simulator.units import MS

_COLOURS = ("#d1495b", "#e08e0b", "#2a9d5c", "#0b6bcb", "#7251b5", "#7a7a7a")

_PANELS = {
    "speedup": "speedup at equal batch",
    "target_efficiency": r"target efficiency  $T(B, 1)\,/\,T(B, \gamma)$",
    "experts_penalty": "share of a verify step that experts add",
}


def plot_speculation(found: WideEp, destination: Path | str) -> Path:
    """Draw speedup, target efficiency and the experts' part of the penalty over requests of a GPU.

    Parameters
    ----------
    found
        What was found.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=11.0, height=3.7) as figure:
        panels = figure.subplots(1, len(_PANELS))
        for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
            for index, line in enumerate(found.curves):
                axes.plot(
                    [point.batch for point in line.points],
                    [getattr(point, name) for point in line.points],
                    color=_COLOURS[index % len(_COLOURS)],
                    marker="o",
                    markersize=3.5,
                    label=f"EP {line.expert_parallel}",
                )
            double(axes)
            axes.set_xlabel("requests of a GPU")
            axes.set_title(title)
        panels[0].axhline(1.0, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))
        panels[1].set_ylim(0.0, 1.02)
        panels[2].set_ylim(bottom=0.0)
        legend_above(figure, panels[0], columns=len(found.curves))
    return Path(destination)


def plot_parts(found: WideEp, destination: Path | str) -> Path:
    """Draw a step of every deployment by part, and the time a token took as reported."""
    bars = {
        one.reported.title: {part: time.seconds for part, time in one.parts.items()}
        for one in found.deployments
    }
    with drawing(destination, width=10.6, height=2.0 + 0.5 * len(bars)) as figure:
        axes = figure.subplots()
        draw_bars(axes, bars)
        for place, one in enumerate(found.deployments):
            at = one.reported_step_s / MS
            label = "token to token, as reported" if place == 0 else None
            axes.plot([at, at], [place - 0.42, place + 0.42], color="black", label=label)
        figure.legend(frameon=False, loc="outside right center")
    return Path(destination)
