"""``moesim validate kernels``: leave each measured shape out of the tables and predict it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Leave each measured shape out of the kernel tables in turn, predict it from the
rest, and say how far off that is. Needs nothing but moesim; under a minute."""

EXAMPLES = ("validate kernels", "validate kernels gpu=h100_sxm,l40s picture=true")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to validate, and what to make of it."""

    gpu: tuple[str, ...] = field(default=(), metadata={"help": "GPUs (default: all)"})
    picture: bool = field(default=False, metadata={"help": "draw predicted over measured times"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Validate the kernel tables."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.validation import plot_predictions, print_validation  # noqa: PLC0415
    from simulator.study.tables.validate import (  # noqa: PLC0415
        measured_gpus,
        steps,
        summary,
        validate_kernels,
    )

    gpus = measured_gpus(list(settings.gpu))
    with progress(steps(gpus), "leaving out and predicting") as bar:
        validation = validate_kernels(gpus, bar.advance)
    finish(
        folder,
        summary(validation),
        lambda console: print_validation(validation, console),
        {"predictions.png": lambda file: plot_predictions(validation, file)}
        if settings.picture
        else {},
        as_json=settings.json,
    )
