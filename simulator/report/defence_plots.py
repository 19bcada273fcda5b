"""Pictures of a study of defences: what noise and limits do to attacks and to ordinary users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.plots import CURVE_COLOURS, drawing, legend_above
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.models import ADVERSARIAL, NOISE, NONE, TUNED
from simulator.study.defence.variants import Tried
from simulator.trace.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = (
    ("majority", "sessions that succeed by majority (%)", 100.0),
    ("queries_per_session", "queries per session", 1.0),
    ("successes_per_h", "attacks that succeed, per hour", 1.0),
    ("attack_gpu_s_per_h", "attack load (GPU-s per hour)", 1.0),
    ("benign_p95_s", "p95 of ordinary queries (ms)", 1e3),
    ("accuracy", "clean accuracy (%)", 100.0),
)
"""Figure, title and factor of each panel of the frontier."""

_VARIANTS = (
    ("believed", "variants: success as believed (%)", 100.0),
    ("majority", "variants: success by majority (%)", 100.0),
    ("queries_per_session", "variants: queries per session", 1.0),
)
"""Figure, title and factor of each panel of variants."""

_MOST = {"majority": 102.0, "believed": 102.0}
"""Where axes end that do not end by themselves."""

_DODGE = 0.012
"""Of the range of noise, between the points of two lines."""

_LINES = {NOISE: "-", TUNED: "--", ADVERSARIAL: ":"}


def plot_defence(frontier: Frontier, destination: Path | str) -> Path:
    """Draw figures against the noise: a line per limit and defence, and one per variant.

    Parameters
    ----------
    frontier
        What was found.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    rows = 3 if frontier.tried else 2
    with drawing(destination, width=10.2, height=2.9 * rows) as figure:
        panels = figure.subplots(rows, 3).reshape(-1)
        for axes, (name, title, scale) in zip(panels, _PANELS, strict=False):
            _draw_frontier(axes, frontier, name, scale)
            axes.set_title(title)
            if name == "benign_p95_s":
                _rise_by_factors(axes, scale * _least(frontier, name))
            elif name != "accuracy":
                axes.set_ylim(0.0, _MOST.get(name))
        peace = frontier.peace.mean("benign_p95_s")
        if peace is not None:
            panels[4].axhline(1e3 * peace.value, color="#7a7a7a", linewidth=0.9, linestyle="-.")
            panels[4].annotate("in peace", (0.98, 1e3 * peace.value), **_BELOW)
        if frontier.tried:
            _draw_variants(panels[6:], frontier)
        for axes in panels:
            axes.set_xlabel("noise nu")
        legend_above(figure, panels[0], columns=4)
    return Path(destination)


_BELOW: dict[str, object] = {
    "xycoords": ("axes fraction", "data"),
    "xytext": (0, -9),
    "textcoords": "offset points",
    "ha": "right",
    "fontsize": 7,
    "color": "#7a7a7a",
}
"""Of the words below a line that crosses a panel."""


def _least(frontier: Frontier, name: str) -> float:
    """Return the least mean of a figure; 1 if no case has it."""
    means = [interval.value for one in frontier.measured if (interval := one.mean(name))]
    return min(means, default=1.0)


def _rise_by_factors(axes: Axes, least: float) -> None:
    """Let an axis rise by factors, from where a word fits below its least, with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    axes.set_yscale("log")
    axes.set_ylim(bottom=0.6 * least)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_frontier(axes: Axes, frontier: Frontier, name: str, scale: float) -> None:
    limits = frontier.question.limits
    if name == "accuracy":  # no limit changes it
        limits = limits[:1]
    lines = product(zip(cycle(CURVE_COLOURS), limits, strict=False), frontier.question.defences)
    for number, ((colour, limit), defence) in enumerate(lines):
        line = _line(frontier, defence, limit)
        axes.errorbar(
            _apart([found.case.nu for found in line], number, frontier),
            *_values([_figure(found, name) for found in line], scale),
            color=colour,
            linestyle=_LINES[defence],
            marker="o",
            markersize=3.5,
            linewidth=1.4,
            elinewidth=0.7,
            label=_label(defence, limit),
        )


def _draw_variants(panels: Sequence[Axes], frontier: Frontier) -> None:
    """Draw variants of the attack on the first defence, with a legend of their own."""
    defence = frontier.question.defences[0]
    noises = [(NONE if defence == NOISE else defence, 0.0)]
    noises += [(defence, nu) for nu in frontier.question.nus]
    names = dict.fromkeys(one.variant for one in frontier.tried)
    tried = [one for noise in noises for one in frontier.tried_on(*noise)]
    for axes, (figure, title, scale) in zip(panels, _VARIANTS, strict=True):
        for number, (colour, name) in enumerate(zip(cycle(CURVE_COLOURS[2:]), names, strict=False)):
            line = [one for one in tried if one.variant == name]
            axes.errorbar(
                _apart([one.nu for one in line], number, frontier),
                *_values([_figure_tried(one, figure) for one in line], scale),
                color=colour,
                marker="s",
                markersize=3.5,
                linewidth=1.4,
                elinewidth=0.7,
                label=name,
            )
        axes.set_title(f"{title}, {defence}")
        axes.set_ylim(0.0, _MOST.get(figure))
    panels[0].legend(frameon=False, fontsize=7)


def _apart(nus: Sequence[float], number: int, frontier: Frontier) -> list[float]:
    """Move points a little, so that the bars of lines do not hide one another."""
    return [nu + number * _DODGE * max(frontier.question.nus) for nu in nus]


def _line(frontier: Frontier, defence: str, limit: tuple[float, int | None]) -> list[Measured]:
    """Return the cases of a limit and a defence, from no noise on, by noise."""
    first = NONE if defence == NOISE else defence
    return sorted(
        (
            found
            for found in frontier.measured
            if found.case.attacked
            and (found.case.rate_limit_per_s, found.case.quota) == limit
            and found.case.defence == (defence if found.case.nu else first)
        ),
        key=lambda found: found.case.nu,
    )


def _figure(found: Measured, name: str) -> Interval | None:
    return Interval(found.accuracy, None, None) if name == "accuracy" else found.mean(name)


def _figure_tried(tried: Tried, name: str) -> Interval:
    if name == "queries_per_session":
        return Interval(tried.queries_per_session, None, None)
    return tried.share(name)


def _values(
    intervals: Sequence[Interval | None], scale: float
) -> tuple[list[float], list[list[float]]]:
    """Return means, NaN where there is none, and how far their bounds lie below and above."""
    means, below, above = [], [], []
    for given in intervals:
        interval = given or Interval(math.nan, None, None)
        mean, low, high = interval.value, interval.low, interval.high
        means.append(scale * mean)
        below.append(0.0 if low is None else scale * (mean - low))
        above.append(0.0 if high is None else scale * (high - mean))
    return means, [below, above]


def _label(defence: str, limit: tuple[float, int | None]) -> str:
    rate, quota = limit
    words = [] if math.isinf(rate) else [f"{rate:g}/s"]
    words += [] if quota is None else [f"{quota} in all"]
    return f"{defence}, " + (f"{' and '.join(words)} per tenant" if words else "no limit")
