"""``moesim study``: questions beside the main one, each answered whole."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS = {
    "control": Subject(
        f"{__name__}.control", "draft lengths that learn a hidden regime: whether that pays"
    ),
    "prefetch": Subject(
        f"{__name__}.prefetch", "expert prefetchers that meet a change of workload"
    ),
    "defence": Subject(
        f"{__name__}.defence", "noise and limits against tenants that attack a classifier"
    ),
}
"""What can be studied."""


def main(arguments: list[str]) -> int:
    """Study one subject, print what was found and save it."""
    return run_subject("study", SUBJECTS, arguments)
