"""Draft-length policies against fixed draft lengths, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.console import Console

from simulator.report.figures import ABSENT
from simulator.report.tables import frame
from simulator.study.policies.compare import Comparison, Outcome
from simulator.trace.statistics import Interval


def print_policies(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print a table per scenario, and under it the schedule that was used."""
    for found in comparisons:
        table = frame(
            "draft length",
            "goodput/s>",
            "met>",
            "E2E, s>",
            "drafted>",
            "over best>",
            title=f"{found.name}: {found.title}",
            tight=True,
        )
        table.columns[0].no_wrap = table.columns[-1].no_wrap = True
        for outcome in found.outcomes:
            table.add_row(*_row(found, outcome))
        console.print(table)
        for outcome in found.outcomes:
            if outcome.schedule:
                rows = ",".join(str(row).replace(" ", "") for row in outcome.schedule)
                console.print(f"speculation.schedule=[{rows}]", soft_wrap=True, markup=False)
        console.print()
    console.print(
        "Goodput counts requests that meet their objective. * is the best fixed draft length,\n"
        "known only afterwards; over it, paired ratios with 95 % intervals over replications.\n"
        "drafted is the mean draft length.",
        soft_wrap=True,
    )


def _row(found: Comparison, outcome: Outcome) -> list[str]:
    best = outcome is found.best_fixed
    name = outcome.name + (" *" if best else "")
    ratio = _interval(found.over_best(outcome)) if not outcome.fixed else ""
    return [
        name,
        f"{fmean(outcome.goodput_per_s):.4g}",
        f"{fmean(outcome.attainment):.1%}",
        f"{fmean(outcome.e2e_s):.3g}",
        f"{fmean(outcome.draft_tokens):.2f}",
        ratio,
    ]


def _interval(found: Interval | None) -> str:
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
