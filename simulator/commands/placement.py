"""Settings of commands that run many simulations: who runs them, where, and how many at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.errors import ConfigError

_MOST_WORKERS = 4096


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where simulations run; the settings of a command inherit it."""

    executor: str = field(default="processes", metadata={"help": "processes, or ray (a cluster)"})
    workers: int | None = field(
        default=None, metadata={"help": "simulations at a time (default: as many as CPUs)"}
    )
    address: str | None = field(
        default=None, metadata={"help": "of the Ray cluster (default: one is started here)"}
    )

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= _MOST_WORKERS:
            raise ConfigError(f"workers={self.workers} must lie in 1..{_MOST_WORKERS}.")
