"""``moesim validate``: how far off the tables and models are, measured."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS = {
    "acceptance": Subject(
        f"{__name__}.acceptance", "acceptance profiles against published acceptance lengths"
    ),
    "engine": Subject(f"{__name__}.engine", "a real engine: calibrated, predicted, replayed"),
    "kernels": Subject(f"{__name__}.kernels", "kernel tables, each measured shape left out once"),
    "moesd": Subject(f"{__name__}.moesd", "the curves of MoESD, simulated end to end"),
    "policies": Subject(
        f"{__name__}.policies", "draft-length policies against fixed draft lengths"
    ),
    "silicon": Subject(f"{__name__}.silicon", "served deployments whose latencies were published"),
}
"""What can be validated."""


def main(arguments: list[str]) -> int:
    """Validate one subject, print what was found and save it.

    Finding large errors is a result, not a failure: the exit code is 0.
    """
    return run_subject("validate", SUBJECTS, arguments)
