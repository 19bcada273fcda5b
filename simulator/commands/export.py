"""``moesim export``: a run as a timeline for trace viewers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from simulator.commands.words import help_text, read_words
from simulator.errors import ConfigError, unknown

PURPOSE = """\
Write a run as a timeline that trace viewers open (Chrome's JSON format; drop
the file on ui.perfetto.dev, which uploads nothing): steps with their draft,
verify and prefill parts, requests with queue, prefill and decode, batch, queue
and KV cache, and devices, links and changes of the cluster where the run has
them. A timeline that would grow too large ends at a moment, and says so."""

EXAMPLES = (
    "export runs/2026-01-31/12-00-00-000000 --perfetto",
    "export RUN --perfetto from_s=60 to_s=90 arm=speculative",
    "export RUN --perfetto file=timeline.json max_events=2000000",
)

_FLAG = "--perfetto"

_BOTH = "both"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to export."""

    run: str | None = field(
        default=None, metadata={"help": "folder of a run of moesim simulate", "bare": True}
    )
    perfetto: bool = field(default=False, metadata={"help": f"the format; {_FLAG} does the same"})
    arm: str = field(default=_BOTH, metadata={"help": "baseline, speculative or both"})
    replication: int = field(default=0, metadata={"help": "which repetition"})
    from_s: float = field(default=0.0, metadata={"help": "begin at this time of the run"})
    to_s: float | None = field(
        default=None, metadata={"help": "end at this time (default: its end)"}
    )
    max_events: int = field(
        default=500_000, metadata={"help": "end before there are more; 500,000 are about 60 MB"}
    )
    file: str | None = field(
        default=None, metadata={"help": "where to; .json.gz is compressed (default: in the folder)"}
    )

    def __post_init__(self) -> None:
        from simulator.trace.schema import ARMS  # noqa: PLC0415 - slow, and help does without

        if self.run is None:
            raise ConfigError("name the folder of a run.")
        if not self.perfetto:
            raise ConfigError(f"name the format: {_FLAG} is the one that there is.")
        if self.arm not in (*ARMS, _BOTH):
            raise ConfigError(unknown("arm", self.arm, [*ARMS, _BOTH]))
        if not 0.0 <= self.from_s < float("inf"):
            raise ConfigError(f"from_s={self.from_s!r} must be a time from 0 on.")
        if self.to_s is not None and not self.from_s < self.to_s:
            raise ConfigError(f"to_s={self.to_s!r} must be later than from_s={self.from_s!r}.")
        if not 1000 <= self.max_events <= 100_000_000:
            raise ConfigError(f"max_events={self.max_events} must lie in 1000..100000000.")
        if self.file is not None and not self.file.endswith((".json", ".json.gz")):
            raise ConfigError(f"file={self.file!r} must end in .json or .json.gz.")


def main(arguments: list[str]) -> int:
    """Export a run.

    Returns
    -------
    int
        0.

    Raises
    ------
    SimulatorError
        If there is no such run, or nothing of it to show.
    """
    if {"--help", "-h"} & set(arguments):
        sys.stdout.write(help_text("export", PURPOSE, Settings, EXAMPLES))
        return 0
    words = ["perfetto=true" if word == _FLAG else word for word in arguments]
    read = read_words(words, Settings, "export")
    _export(read.settings, read.folder)
    return 0


def _export(settings: Settings, folder: Path) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.export import print_export, summary  # noqa: PLC0415
    from simulator.study.step_parts import rebuilt_parts  # noqa: PLC0415
    from simulator.trace.folder import run_tables  # noqa: PLC0415
    from simulator.trace.perfetto.export import Shown, export  # noqa: PLC0415
    from simulator.trace.read import Run  # noqa: PLC0415
    from simulator.trace.schema import ARMS  # noqa: PLC0415

    run = Path(str(settings.run))
    tables = run_tables(run)
    arms = ARMS if settings.arm == _BOTH else (settings.arm,)
    runs = tuple(Run(arm, settings.replication) for arm in arms)
    parts, reason = rebuilt_parts(tables["requests"])
    path = Path(settings.file) if settings.file else folder / "perfetto.json.gz"
    shown = Shown(runs, settings.from_s, settings.to_s, settings.max_events)
    found = export(tables, shown, path, parts)
    finish(
        folder,
        summary(found, reason),
        lambda console: print_export(found, run, reason, console),
        {},
        files={"timeline": found.path},
    )
