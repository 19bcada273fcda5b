"""Acceptance profiles against what was published, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from simulator.report.figures import ABSENT
from simulator.report.plots import drawing
from simulator.report.tables import frame, say, show
from simulator.study.acceptance_profiles import (
    EXTRAPOLATED_FROM,
    FITTED,
    OffsetCheck,
    ProfileCheck,
    metrics,
)

_COLUMNS = 4
"""Panels in a row of the picture."""


def print_profiles(
    found: Sequence[ProfileCheck], offsets: Sequence[OffsetCheck], console: Console
) -> None:
    """Print how well every profile meets what it was fitted to, and what it predicts beyond."""
    table = frame(
        "profile", "task", f"fitted 1-{FITTED}>", "beyond 3>", "single>", tight=True, unbroken=2
    )
    for check in found:
        beyond, single = check.beyond(check.extrapolated), check.beyond(check.single)
        table.add_row(
            check.profile,
            check.task,
            f"{check.fit_error:.3f}",
            f"{max(beyond):.2f}" if beyond else ABSENT,
            f"{max(single):.2f}" if single else ABSENT,
        )
    show(console, "Acceptance length: largest error by profile, tokens", table)
    figures = metrics(found)
    say(
        console,
        f"Fitted at draft lengths up to {FITTED}: at most "
        f"{figures['fit_error_max']:.3f} tokens off.",
        f"Predicted from draft lengths 1 to {EXTRAPOLATED_FROM}: median "
        f"{figures['extrapolation_error_median']:.2f}, at most "
        f"{figures['extrapolation_error_max']:.2f} tokens off; one rate for all positions: median "
        f"{figures['single_rate_error_median']:.2f}, at most "
        f"{figures['single_rate_error_max']:.2f}.",
        "Published lengths of separate runs differ by .05 to .1 among themselves.",
    )
    table = frame("profile", "task", "assumed>", "measured>", tight=True, unbroken=2)
    for offset in offsets:
        row = (offset.profile, offset.task, f"{offset.assumed:+.2f}", f"{offset.measured:+.2f}")
        table.add_row(*row)
    show(console, "Log-odds of a task relative to coding, at the first position", table)
    say(console, "The assumed ones were chosen with these in sight: agreement here proves nothing.")


def plot_profiles(found: Sequence[ProfileCheck], destination: Path | str) -> Path:
    """Draw acceptance length over draft length: published, fitted, and predicted from short drafts.

    Parameters
    ----------
    found
        The profiles; those with few draft lengths are left out.
    destination
        File to write; the suffix decides the format.

    Returns
    -------
    Path
        ``destination``.
    """
    shown = [check for check in found if check.extrapolated]
    rows = -(-len(shown) // _COLUMNS)
    with drawing(destination, width=10.4, height=2.3 * rows) as figure:
        panels = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).ravel()
        for axes, check in zip(panels, shown, strict=False):
            longer = check.gammas[-len(check.extrapolated) :]
            axes.plot(check.gammas, check.fitted, linewidth=1.6, label="profile")
            axes.plot(longer, check.extrapolated, linestyle="--", label="from 1 to 3")
            axes.plot(longer, check.single, linestyle=":", label="one rate")
            axes.plot(check.gammas, check.measured, "ko", markersize=3, label="published")
            axes.set_title(f"{check.profile}\n{check.task}", fontsize=8)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        panels[0].legend(frameon=False, fontsize=7)
        figure.supxlabel("draft length (tokens)", fontsize=9)
        figure.supylabel("acceptance length (tokens)", fontsize=9)
    return Path(destination)
