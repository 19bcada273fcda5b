"""``moesim show cluster``: a topology drawn, its links, its routes, and collectives on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Draw a topology, and print its links, what lies between its GPUs, and how long
collectives take alone, by size and with the algorithm that is fastest.
Names: moesim list topologies; a path is that of a YAML file of your own."""

EXAMPLES = (
    "show cluster topology=nvl72",
    "show cluster topology=rack.yaml sizes_bytes=65536,1048576",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to show."""

    topology: str = field(default="nvswitch_h100", metadata={"help": "name or path"})
    sizes_bytes: tuple[int, ...] = field(
        default=(2**12, 2**18, 2**24, 2**30),
        metadata={"help": "sizes of the messages (all-to-all: what each GPU holds for all)"},
    )
    check: bool = field(
        default=True,
        metadata={"help": "simulate every collective beside its closed form; slow for large ones"},
    )
    picture: bool = field(default=True, metadata={"help": "draw the topology"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        if not self.sizes_bytes or min(self.sizes_bytes) < 1:
            raise ConfigError(
                f"sizes_bytes={list(self.sizes_bytes)} must be one size or more, each positive."
            )


def run(settings: Settings, folder: Path) -> None:
    """Show a topology."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.hardware.topology import load_topology  # noqa: PLC0415
    from simulator.report.topology import print_topology  # noqa: PLC0415
    from simulator.report.topology_chart import plot_topology  # noqa: PLC0415
    from simulator.study.topology import study_topology, summary  # noqa: PLC0415

    topology = load_topology(settings.topology)
    study = study_topology(topology, sorted(set(settings.sizes_bytes)), check=settings.check)
    finish(
        folder,
        summary(study),
        lambda console: print_topology(study, console),
        {"topology.png": lambda file: plot_topology(topology, file)} if settings.picture else {},
        as_json=settings.json,
    )
