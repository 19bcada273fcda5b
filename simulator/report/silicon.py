"""How far off served deployments we are, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, fine_percent
from simulator.report.plots import drawing
from simulator.report.tables import frame, say, show
from simulator.study.silicon.validate import (
    APART,
    Compared,
    Errors,
    SiliconValidation,
    by,
    errors,
    half,
)
from simulator.units import MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b", "#7251b5", "#7a7a7a", "#11a3a3")

_FIGURES = (("tpot_s", "time per output token"), ("ttft_s", "time to first token"))


def print_silicon(validation: SiliconValidation, console: Console) -> None:
    """Print errors by half, engine, GPU and model, beside the peer's; fits 80 columns.

    Parameters
    ----------
    validation
        What was compared.
    console
        Where to print.
    """
    judged, apart = _apart(validation.predicted)
    groups: dict[str, Sequence[Compared]] = {
        "held-out half": half(judged, held_out=True),
        "fitting half": half(judged, held_out=False),
        "both": judged,
        "DeepSeek-R1, apart": apart,
    }
    show(console, "Served deployments, measured and simulated", _table(groups))
    for key, title in (("engine", "By engine"), ("gpu", "By GPU"), ("path", "By model")):
        show(console, f"{title}, both halves", _table(by(judged, key)))
    say(console, *_about(validation))


def _apart(compared: Sequence[Compared]) -> tuple[list[Compared], list[Compared]]:
    apart = [c for c in compared if c.row.path == APART]
    return [c for c in compared if c.row.path != APART], apart


def _table(groups: Mapping[str, Sequence[Compared]]) -> Table:
    """Return a row of errors per group."""
    headings = ("", "rows>", "TPOT %>", "bias>", "TTFT %>", "peer TPOT>", "peer TTFT>")
    table = frame(*headings, tight=True, unbroken=len(headings))
    for name, rows in groups.items():
        tpot = errors(rows, "tpot_s")
        if tpot is None:
            continue
        table.add_row(
            name.split("/")[-1][:20],
            str(tpot.rows),
            _pair(tpot),
            f"{100 * tpot.bias:+.0f}",
            _pair(errors(rows, "ttft_s")),
            _pair(errors(rows, "tpot_s", "peer")),
            _pair(errors(rows, "ttft_s", "peer")),
        )
    return table


def _pair(found: Errors | None) -> str:
    """Write median and mean error in percent."""
    return ABSENT if found is None else f"{_short(found.median)}/{_short(found.mean)}"


def _short(error: float) -> str:
    """Write an error in percent, in four characters as long as it is below 9999."""
    return f"{100 * error:.1f}" if error < 0.9995 else f"{100 * error:.0f}"


def _about(validation: SiliconValidation) -> list[str]:
    """Say what the columns mean, what was fitted, and which rows are missing."""
    lines = [
        "Errors: median / mean of the absolute error; bias: median of the signed one. Peer: "
        "aiconfigurator's own engine, on those of the rows that it predicts.",
        "Halves are halves of the deployments (checkpoint, engine, GPU, formats), by a hash of "
        "their names. Engine overheads were fitted on the fitting half; nothing on the other.",
        f"{len(validation.predicted)} of {validation.aggregated} aggregated rows were predicted "
        f"({fine_percent(validation.usable_share)}).",
    ]
    missing = sorted(validation.left_out.items(), key=lambda item: -item[1])
    lines += [f"Left out: {count} rows, {reason}." for reason, count in missing]
    return lines


def plot_silicon(validation: SiliconValidation, destination: Path | str) -> Path:
    """Draw predicted over measured TPOT and TTFT, a colour per engine, both axes logarithmic.

    Parameters
    ----------
    validation
        What was compared.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=9.6, height=4.6) as figure:
        for axes, (name, title) in zip(figure.subplots(1, 2), _FIGURES, strict=True):
            _draw(axes, validation.predicted, name)
            axes.set_title(title)
            axes.set_xlabel("measured (ms)")
            axes.set_ylabel("simulated (ms)")
        axes.legend(frameon=False, markerscale=3, loc="upper left")
    return Path(destination)


def _draw(axes: Axes, compared: Sequence[Compared], name: str) -> None:
    """Dot predicted over measured; held-out rows full, the others open; lines at 0 and 20 %."""
    engines = by(compared, "engine")
    for (engine, rows), colour in zip(engines.items(), cycle(_COLOURS), strict=False):
        for held_out, face in ((False, "none"), (True, colour)):
            these = half(rows, held_out)
            measured = [getattr(c.row, name) / MS for c in these]
            predicted = [getattr(c.ours, name) / MS for c in these]
            label = f"{engine}, {'held out' if held_out else 'fitting half'}"
            dots = axes.loglog(measured, predicted, "o", color=colour, label=label)[0]
            dots.set(markersize=2.5, alpha=0.5, markerfacecolor=face, markeredgewidth=0.5)
    ends = np.array([getattr(c.row, name) / MS for c in compared])
    span = np.array([ends.min(), ends.max()])
    for factor, style in ((1.0, "-"), (0.8, ":"), (1.2, ":")):
        axes.loglog(span, factor * span, style, color="#333333", linewidth=0.8)
