"""``moesim show``: one thing that is known, drawn and in figures."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS = {
    "cluster": Subject(f"{__name__}.cluster", "a topology: links, routes, collectives on it"),
    "experts": Subject(f"{__name__}.experts", "placements of experts: how busy the ranks are"),
}
"""What can be shown."""


def main(arguments: list[str]) -> int:
    """Show one subject: print it, draw it and save its figures."""
    return run_subject("show", SUBJECTS, arguments)
