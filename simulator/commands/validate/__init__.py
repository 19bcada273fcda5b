"""``moesim validate``: how far off the tables and models are, measured."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS = {
    "acceptance": Subject(
        f"{__name__}.acceptance", "acceptance profiles against published acceptance lengths"
    ),
    "collectives": Subject(
        f"{__name__}.collectives", "collectives measured and on links, each left out once"
    ),
    "engine": Subject(f"{__name__}.engine", "a real engine: calibrated, predicted, replayed"),
    "fidelity": Subject(f"{__name__}.fidelity", "drawn loads and events of dispatch, compared"),
    "kernels": Subject(f"{__name__}.kernels", "kernel tables, each measured shape left out once"),
    "moesd": Subject(f"{__name__}.moesd", "the curves of MoESD, simulated end to end"),
    "policies": Subject(
        f"{__name__}.policies", "draft-length policies against fixed draft lengths"
    ),
    "routing": Subject(f"{__name__}.routing", "sampled routes: measured overlaps and unions"),
    "silicon": Subject(f"{__name__}.silicon", "served deployments whose latencies were published"),
    "wide_ep": Subject(f"{__name__}.wide_ep", "DeepSeek-V3 over 72 and 144 GPUs, as reported"),
}
"""What can be validated."""


def main(arguments: list[str]) -> int:
    """Validate one subject, print what was found and save it.

    Finding large errors is a result, not a failure: the exit code is 0.
    """
    return run_subject("validate", SUBJECTS, arguments)
