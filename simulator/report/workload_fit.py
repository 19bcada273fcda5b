"""A fitted preset: what it was fitted to, how well it stands for that, and for what came later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from simulator.report.figures import number, seconds, signed_percent
from simulator.report.plots import drawing
from simulator.report.tables import frame, say, show
from simulator.study.workloads.fit import Fit, Fitted
from simulator.study.workloads.goodness import COMPARED, Comparison
from simulator.study.workloads.lengths import CountedLengths
from simulator.workload.lengths import LengthLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRACE, _FIT = "#7a7a7a", "#0b6bcb"


def print_fit(fit: Fit, file: Path, console: Console) -> None:
    """Print a fit.

    Parameters
    ----------
    fit
        The fit.
    file
        Where the preset was written.
    console
        Where to print.
    """
    console.print(fit.title, style="bold", markup=False)
    console.print(f"{fit.requests:,} requests in {seconds(fit.span_s)}\n", markup=False)
    _print_laws(fit.fitted, console)
    _print_figures(
        f"Fitted to all of it; mean of {fit.recordings} recordings drawn",
        fit.own.figures,
        "recorded",
        console,
    )
    _print_figures(
        "Fitted to the first half of the requests, against the second: how it drifts",
        fit.held_out.figures,
        "second half",
        console,
    )
    table = frame("Kolmogorov-Smirnov distance", "prompt>", "output>")
    for name, pair in {
        "fit of all, all": (fit.own.prompt_ks, fit.own.output_ks),
        "fit of the first half, second half": (fit.held_out.prompt_ks, fit.held_out.output_ks),
        "first half itself, second half": (fit.prompt_drift, fit.output_drift),
    }.items():
        table.add_row(name, *(f"{distance:.3f}" for distance in pair))
    show(console, "Lengths as distributions", table)
    say(console, *_sentences(fit))
    # Never wrapped: people copy it.
    console.print(f"Use it: moesim simulate workload.preset={file}", soft_wrap=True, markup=False)


def _print_laws(fitted: Fitted, console: Console) -> None:
    table = frame("fitted", "law")
    table.add_row("arrivals", _arrivals(fitted))
    for name, mixture in (("prompt", fitted.prompt), ("output", fitted.output)):
        table.add_row(f"{name} tokens", f"lognormal mixture of {len(mixture.weights)}")
    console.print(table)


def _arrivals(fitted: Fitted) -> str:
    if not fitted.modulations:
        return f"Poisson, {number(fitted.rate)} /s"
    parts = " + ".join(
        f"{number(one.variance)} over {seconds(one.time_constant_s)}" for one in fitted.modulations
    )
    return f"Gamma-modulated Poisson, {number(fitted.rate)} /s, relative variance {parts}"


def _print_figures(title: str, figures: Sequence[Comparison], what: str, console: Console) -> None:
    table = frame("figure", f"{what}>", "fit>", "off by>", unbroken=1)
    names = COMPARED | {"gap_cv": "CV of gaps (not fitted)"}
    for one in figures:
        if one.name in names:
            table.add_row(
                names[one.name],
                number(one.recorded),
                number(one.drawn),
                signed_percent(one.deviation),
            )
    show(console, title, table)


def _sentences(fit: Fit) -> list[str]:
    worst = fit.worst
    return [
        f"Largest deviation: {COMPARED[worst.name]}, {signed_percent(worst.deviation)}.",
        "Not fitted: correlations, shared prefixes, conversations, hours of the day, clients.",
    ]


def plot_fit(fit: Fit, destination: Path | str) -> Path:
    """Draw lengths and counts of a trace, and what was fitted to them.

    Parameters
    ----------
    fit
        The fit.
    destination
        File to write; the suffix decides the format.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    with drawing(destination, width=10.8, height=2.9) as figure:
        counts, prompt, output = figure.subplots(1, 3)
        _draw_counts(counts, fit)
        _draw_lengths(prompt, fit.sample.prompt, fit.fitted.prompt, "prompt (tokens)")
        _draw_lengths(output, fit.sample.output, fit.fitted.output, "output (tokens)")
        counts.legend(frameon=False)
    return Path(destination)


def _draw_counts(axes: Axes, fit: Fit) -> None:
    rate = fit.fitted.rate
    recorded = fit.sample.arrivals.cv2()
    drawn = {one.name: one.drawn for one in fit.own.figures}
    windows_s = [w for w in recorded if f"count_cv_{w:g}_s" in drawn]
    axes.loglog(
        windows_s,
        [np.sqrt(recorded[w]) for w in windows_s],
        "o",
        color=_TRACE,
        label="trace",
        markersize=4,
    )
    axes.loglog(windows_s, [drawn[f"count_cv_{w:g}_s"] for w in windows_s], color=_FIT, label="fit")
    axes.loglog(
        windows_s,
        [(rate * w) ** -0.5 for w in windows_s],
        "--",
        color=_TRACE,
        linewidth=0.9,
        label="Poisson",
    )
    axes.set_xlabel("window (s)")
    axes.set_title("CV of counts")


def _draw_lengths(axes: Axes, lengths: CountedLengths, law: LengthLaw, label: str) -> None:
    at, share = lengths.cdf()
    axes.step(at, share, where="post", color=_TRACE, linewidth=2.4, label="trace")
    grid = np.unique(np.geomspace(max(at[0] - 1, 1), at[-1], 600).astype(np.int64))
    axes.step(grid, law.cdf(grid), where="post", color=_FIT, linewidth=1.1, label="fit")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(label)
    axes.set_title("share up to")
