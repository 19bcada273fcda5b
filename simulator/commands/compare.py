"""``moesim compare``: what differs between runs, and how sure that is."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from simulator.commands.words import help_text, read_words

PURPOSE = """\
Compare runs of moesim simulate with the first of them: latencies, throughput,
goodput, attainment and acceptance length of both arms, with 95 % intervals, and
the settings that differ. Runs that saw the same requests are compared within
each replication; others as independent ones, with a warning."""

EXAMPLES = (
    "compare runs/2026-01-31/12-00-00-000000 runs/2026-01-31/12-05-00-000000",
    "compare RUN RUN RUN json=true",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to compare."""

    run: str | None = field(
        default=None,
        metadata={"help": "folders of two runs or more, the reference first", "bare": True},
    )
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def main(arguments: list[str]) -> int:
    """Compare runs.

    Returns
    -------
    int
        0.

    Raises
    ------
    SimulatorError
        If they cannot be compared.
    """
    if {"--help", "-h"} & set(arguments):
        text = help_text("compare", PURPOSE, Settings, EXAMPLES)
        sys.stdout.write(text.replace("compare RUN [", "compare RUN RUN ... [", 1))
        return 0
    folders = [Path(word) for word in arguments if _is_run(word)]
    words = [word for word in arguments if not _is_run(word)]
    read = read_words(words, Settings, "compare")
    _compare(folders, read.settings, read.folder)
    return 0


def _is_run(word: str) -> bool:
    """Tell a folder from a setting; folders of sweeps have ``=`` in their names."""
    return "=" not in word or Path(word).is_dir()


def _compare(folders: list[Path], settings: Settings, folder: Path) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.compare import print_comparison, summary  # noqa: PLC0415
    from simulator.study.compare.compare import compare  # noqa: PLC0415
    from simulator.study.compare.runs import read_runs  # noqa: PLC0415

    runs = read_runs(folders)
    found = compare(runs)
    finish(
        folder,
        summary(runs[0], found),
        lambda console: print_comparison(runs[0], found, console),
        {},
        as_json=settings.json,
    )
