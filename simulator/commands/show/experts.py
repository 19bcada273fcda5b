"""``moesim show experts``: placements of a model's experts, and how busy each leaves the ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Place the experts of a model in every way, and print how much more than the mean
the slowest rank gets: by the popularity of experts alone, and in steps. Routes
are drawn from an archetype, or recorded; experts are placed by one half of the
requests and judged on the other. The best placement is written to a file that
experts.placement takes."""

EXAMPLES = (
    "show experts",
    "show experts model=deepseek_v3 archetype=glm_5 ranks=32 topology=rails_infiniband_h100",
    "show experts routes=routes.parquet ranks=4",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to place, and what to judge it on."""

    model: str = field(default="qwen3_30b_a3b", metadata={"help": "model with experts"})
    ranks: int = field(default=8, metadata={"help": "ranks that experts are spread over"})
    redundant: tuple[int, ...] = field(
        default=(0, 16, 32), metadata={"help": "replicas of load-aware placement, once with each"}
    )
    archetype: str | None = field(
        default=None, metadata={"help": "whose routes to draw (default: the model's)"}
    )
    popularity_sd: float | None = field(
        default=None, metadata={"help": "skew of popularity (default: the archetype's)"}
    )
    routes: str | None = field(default=None, metadata={"help": "Parquet file of recorded routes"})
    requests: int = field(default=32, metadata={"help": "requests of a step"})
    query_tokens: int = field(default=4, metadata={"help": "tokens of each"})
    topology: str = field(
        default="nvswitch_h100", metadata={"help": "links that experts move over"}
    )
    picture: bool = field(default=True, metadata={"help": "draw the loads of the ranks"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        for key in ("requests", "query_tokens"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key}={getattr(self, key)} must be at least 1.")
        if self.ranks < 2:
            raise ConfigError(f"ranks={self.ranks} leaves nothing to place; take 2 or more.")
        if not self.redundant or min(self.redundant) < 0:
            raise ConfigError(
                f"redundant={list(self.redundant)} must be one number or more, none negative."
            )


def run(settings: Settings, folder: Path) -> None:
    """Place and judge."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.experts.config import RoutingConfig  # noqa: PLC0415
    from simulator.experts.placement_file import write_placement  # noqa: PLC0415
    from simulator.experts.routes import routes_of  # noqa: PLC0415
    from simulator.hardware.topology import load_topology  # noqa: PLC0415
    from simulator.models.catalog import load_architecture  # noqa: PLC0415
    from simulator.report.placements import plot_placements, print_placements  # noqa: PLC0415
    from simulator.study.routing.placements import (  # noqa: PLC0415
        Batch,
        check_room,
        compare_placements,
        placements_of,
        summary,
    )

    arch, topology = load_architecture(settings.model), load_topology(settings.topology)
    nodes = check_room(topology, settings.ranks)
    routing = RoutingConfig(
        law="sampled" if settings.routes is None else "recorded",
        archetype=settings.archetype,
        popularity_sd=settings.popularity_sd,
        path=settings.routes,
    )
    routes = routes_of(routing, arch, seed=0)
    placed, judged = placements_of(arch, routes, settings.ranks, settings.redundant, nodes)
    batch = Batch(settings.requests, settings.query_tokens)
    found = compare_placements(arch, placed, judged, batch, topology)
    best = min(found, key=lambda one: float(one.steps[0]))
    folder.mkdir(parents=True, exist_ok=True)
    write_placement(best.placement, folder / "placement.yaml")
    finish(
        folder,
        summary(found),
        lambda console: print_placements(found, arch, batch, topology.title, console),
        {"loads.png": lambda file: plot_placements(found, batch, file)} if settings.picture else {},
        files={f"placement ({best.name})": folder / "placement.yaml"},
        as_json=settings.json,
    )
