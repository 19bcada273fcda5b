"""``moesim validate collectives``: measured ones left out, closed forms against transfers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Leave each measured message size of the collectives and exchanges of experts out
in turn, and models and numbers of nodes as well, predict it from the rest, and
say how far off that is; then compare the closed forms on every topology with
transfers that share its links. Under a minute."""

EXAMPLES = (
    "validate collectives",
    "validate collectives gpu=h100_sxm topology=nvl72,rails_infiniband_h100",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to validate."""

    gpu: tuple[str, ...] = field(default=(), metadata={"help": "GPUs (default: all)"})
    topology: tuple[str, ...] = field(default=(), metadata={"help": "topologies (default: all)"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Validate collectives."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.collectives import plot_collectives, print_collectives  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.tables.validate import measured_gpus  # noqa: PLC0415
    from simulator.study.tables.validate_collectives import (  # noqa: PLC0415
        chosen_topologies,
        summary,
        validate_collectives,
    )

    gpus = measured_gpus(list(settings.gpu))
    topologies = chosen_topologies(settings.topology)
    with progress(len(gpus) + len(topologies), "leaving out and comparing") as bar:
        validation = validate_collectives(gpus, topologies, bar.advance)
    finish(
        folder,
        summary(validation),
        lambda console: print_collectives(validation, console),
        {"collectives.png": lambda file: plot_collectives(validation, file)},
        as_json=settings.json,
    )
