"""``moesim validate silicon``: simulate served deployments whose latencies were published."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Simulate thousands of served deployments whose TTFT and TPOT were published, and
compare; NVIDIA's aiconfigurator predicts the same rows.
Needs: pip install 'moesim[kernels]'. Takes some ten minutes."""

EXAMPLES = ("validate silicon", "validate silicon rows=200 picture=true")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to validate, and what to make of it."""

    gpu: tuple[str, ...] = field(default=(), metadata={"help": "GPUs (default: all)"})
    rows: int | None = field(
        default=None, metadata={"help": "take so many rows, evenly spread (default: all)"}
    )
    peer: bool = field(default=True, metadata={"help": "run aiconfigurator on the same rows"})
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=False, metadata={"help": "draw predicted over measured times"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Simulate the deployments and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.silicon import plot_silicon, print_silicon  # noqa: PLC0415
    from simulator.study.silicon.rows import read_sample  # noqa: PLC0415
    from simulator.study.silicon.validate import (  # noqa: PLC0415
        plan,
        select,
        summary,
        validate_silicon,
        worker_count,
    )

    workers = worker_count(settings.workers)
    planned = plan(select(read_sample(), list(settings.gpu), settings.rows))
    passes = 2 if settings.peer else 1
    with progress(passes * len(planned.rows), "simulating served deployments") as bar:
        validation = validate_silicon(
            planned, workers=workers, peer=settings.peer, advance=bar.advance
        )
    finish(
        folder,
        summary(validation),
        lambda console: print_silicon(validation, console),
        {"predictions.png": lambda file: plot_silicon(validation, file)}
        if settings.picture
        else {},
        as_json=settings.json,
    )
