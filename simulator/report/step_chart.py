"""Where a step's time goes, as a bar chart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.figures import factor, number, seconds
from simulator.report.parts import PART_COLOURS, in_order, part_name
from simulator.report.plots import drawing
from simulator.study.explain import Explanation
from simulator.units import MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELLED_SHARE = 0.07
"""Least share of the longest bar at which a piece has room for its time."""


def plot_steps(explanation: Explanation, destination: Path | str) -> Path:
    """Draw a plain step and the pieces of a round as stacked bars; return ``destination``.

    Parameters
    ----------
    explanation
        Of :func:`simulator.study.explain.explain`.
    destination
        File to write; the suffix decides the format.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    bars = step_bars(explanation)
    with drawing(destination, width=9.6, height=1.5 + 0.45 * len(bars)) as figure:
        axes = figure.subplots()
        draw_bars(axes, bars)
        axes.set_title(_caption(explanation), loc="left")
        figure.legend(frameon=False, loc="outside right center")
    return Path(destination)


def step_bars(explanation: Explanation) -> dict[str, dict[str, float]]:
    """Return seconds by bar and part: a plain step, and the pieces of a round."""
    gamma, draft = explanation.decomposition.gamma, explanation.draft
    steps = {"plain step": (1, explanation.plain)}
    if draft is not None:
        steps[f"{gamma} draft step{'s' if gamma > 1 else ''}"] = gamma, draft
    if explanation.verify is not None:
        steps["verify step"] = 1, explanation.verify
    bars = {
        name: {part: times * step.seconds(part) for part in step.parts}
        for name, (times, step) in steps.items()
    }
    return bars | ({"rejection": {"rejection": explanation.rejection_s}} if gamma else {})


def draw_bars(axes: Axes, bars: dict[str, dict[str, float]]) -> None:
    """Stack the parts of each bar; write how long the larger ones and the whole take."""
    longest_ms = max(sum(parts.values()) for parts in bars.values()) / MS
    ends_ms = [0.0] * len(bars)
    for part in in_order(part for parts in bars.values() for part in parts):
        widths = [parts.get(part, 0.0) / MS for parts in bars.values()]
        colour = PART_COLOURS.get(part, "#c9c9c9")
        drawn = axes.barh(list(bars), widths, 0.62, ends_ms, color=colour, label=part_name(part))
        labels = [number(w) if w >= _LABELLED_SHARE * longest_ms else "" for w in widths]
        axes.bar_label(drawn, labels, label_type="center", color="white", fontsize=8)
        ends_ms = [end + width for end, width in zip(ends_ms, widths, strict=True)]
    axes.bar_label(drawn, [seconds(end * MS) for end in ends_ms], padding=4)
    axes.invert_yaxis()
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, 1.1 * longest_ms)
    axes.set_xlabel("time (ms)")


def _caption(explanation: Explanation) -> str:
    terms, scenario = explanation.decomposition, explanation.scenario
    tokens = f"{terms.expected_tokens_per_round:.2f} tokens a round"
    return (
        f"{scenario['model']} on {scenario['hardware']}\n"
        f"batch {terms.batch:,}, context {terms.context_tokens:,}"
        + (f", gamma {terms.gamma}: {tokens}, {factor(terms.speedup)}" if terms.gamma else "")
    )
