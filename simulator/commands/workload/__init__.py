"""``moesim workload``: what a trace or a preset looks like, and presets fitted to traces."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS = {
    "describe": Subject(f"{__name__}.describe", "rate, bursts, lengths, reuse, clients; drawn"),
    "fit": Subject(f"{__name__}.fit", "a preset fitted to a trace, judged on a held-out half"),
}
"""What can be done with a workload."""


def main(arguments: list[str]) -> int:
    """Look at a workload, print what was found and save it."""
    return run_subject("workload", SUBJECTS, arguments)
