"""``moesim calibrate``: fit the models to measurements, and say what measurements determine."""

from __future__ import annotations

from simulator.commands.subjects import Subject, run_subject

SUBJECTS: dict[str, Subject] = {
    "fit": Subject(f"{__name__}.fit", "MoESD's ten parameters, from speedups and step times"),
    "engine": Subject(f"{__name__}.engine", "an engine profile, from a few measured step times"),
    "kernels": Subject(f"{__name__}.kernels", "kernel tables of this machine, measured"),
    "acceptance": Subject(f"{__name__}.acceptance", "acceptance, from a vLLM metrics page"),
    "check": Subject(f"{__name__}.check", "what a measurement plan can determine, beforehand"),
}
"""What can be calibrated."""


def main(arguments: list[str]) -> int:
    """Calibrate one subject, print what was found and save it."""
    return run_subject("calibrate", SUBJECTS, arguments)
