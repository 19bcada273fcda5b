"""``moesim validate acceptance``: acceptance profiles against published acceptance lengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

PURPOSE = """\
Compare every acceptance profile with the published acceptance lengths it was
fitted to, and predict long drafts from short ones: draft lengths 1 to 3 are
fitted, 4 to 8 predicted, beside a single rate. Takes some seconds."""

EXAMPLES = ("validate acceptance",)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to print."""

    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Compare, print and draw."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.acceptance_profiles import plot_profiles, print_profiles  # noqa: PLC0415
    from simulator.study.acceptance_profiles import (  # noqa: PLC0415
        check_offsets,
        check_profiles,
        metrics,
    )

    found, offsets = check_profiles(), check_offsets()
    finish(
        folder,
        {"metrics": metrics(found)},
        partial(print_profiles, found, offsets),
        {"acceptance_profiles.png": partial(plot_profiles, found)},
        as_json=settings.json,
    )
