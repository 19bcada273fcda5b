"""The fidelities of dispatch beside each other, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from simulator.report.dispatch import AGREE, reasons_of
from simulator.report.figures import seconds
from simulator.report.tables import frame, say
from simulator.study.fidelity import Outcome


def print_fidelity(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print the mean step of every case under each fidelity, and why they differ."""
    table = frame(
        "case", "expected>", "sampled>", "event>", "sampled / expected>", "event / expected>"
    )
    for found in outcomes:
        over = (f"{found.over_expected(fidelity):+.2%}" for fidelity in ("sampled", "event"))
        table.add_row(found.case.name, *(seconds(one) for one in found.step_s.values()), *over)
    console.print(table)
    sentences = []
    for found in outcomes:
        reasons = reasons_of(found.figures, overlapping=found.case.overlapping)
        why = "; ".join(reasons) or f"all agree within {AGREE:.0%}"
        sentences.append(f"{found.case.name} ({found.case.title}): {why}.")
    say(console, *sentences)
