"""``moesim study control``: what learning a hidden regime is worth to the draft length."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.words import passed_on
from simulator.errors import ConfigError, refuse_below

if TYPE_CHECKING:
    from simulator.study.control.instance import Instance
    from simulator.study.control.study import ControlStudy
    from simulator.study.control.surrogate import Surrogate
    from simulator.study.policies.compare import Comparison

PURPOSE = """\
Learn when to draft long and when to draft short, where text has easy and hard
phases that nobody sees. A scenario with phases becomes an exact POMDP (hidden
phase x backlog) through its step times; spectral learners run on it beside
fixed draft lengths, rules and an oracle. Says what there is to win, what
learning costs, and whether a simple rule does as well; exports the learned
table for speculation.policy=belief_table. With replications= the tables also
run in the event simulator. Two minutes, some ten with replications=5."""

EXAMPLES = (
    "study control",
    "study control instance=fixed_wins",
    "study control instance=swinging replications=5",
    "study control workload.rate=0.35 intervals=100000",
)

_SCENARIO = {"help": "as for moesim simulate"}

_REQUESTS = 2000
"""Requests of a replication in the event simulator, unless others are named."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to learn, for how long, and what to do with it."""

    instance: str = field(
        default="serving", metadata={"help": "serving, fixed_wins, swinging, or a YAML file"}
    )
    model: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "model"})
    hardware: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "hardware"})
    workload: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "workload"})
    speculation: tuple[str, ...] = field(
        default=(), metadata={**_SCENARIO, "prefix": "speculation"}
    )
    scheduler: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "scheduler"})
    slo: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "slo"})
    gammas: tuple[int, ...] = field(
        default=(), metadata={"help": "draft lengths to choose among (default: the instance's)"}
    )
    interval_s: float | None = field(
        default=None, metadata={"help": "time between decisions, s (default: the instance's)"}
    )
    backlog_edges: tuple[int, ...] = field(
        default=(),
        metadata={"help": "last request counts of backlog buckets (default: max_num_seqs - 1)"},
    )
    intervals: int = field(default=600_000, metadata={"help": "length of every run"})
    seeds: int = field(default=8, metadata={"help": "runs of each learner"})
    first_seed: int = field(default=0, metadata={"help": "seed of the first"})
    first_exploration: int = field(
        default=20_000, metadata={"help": "uniform intervals of mixed and sm_ucrl before a plan"}
    )
    explore_intervals: int = field(default=20_000, metadata={"help": "tau_1 of SEEU"})
    exploit_intervals: int = field(default=120_000, metadata={"help": "tau_2 of SEEU"})
    optimism: float = field(default=1e-8, metadata={"help": "c of the confidence sets; 0 is off"})
    divisions: int = field(default=12, metadata={"help": "of the belief grid"})
    replications: int = field(default=0, metadata={"help": "in the event simulator; 0 is none"})
    requests: int | None = field(
        default=None, metadata={"help": "of each replication (default: 2000)"}
    )
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        least = {"seeds": 1, "first_seed": 0, "replications": 0, "requests": 1, "workers": 1}
        refuse_below(self, least)
        if self.requests is not None and not self.replications:
            raise ConfigError(
                f"requests={self.requests} are those of each replication in the event simulator, "
                "and replications=0; set replications=5, or leave requests out."
            )

    @property
    def processes(self) -> int:
        """How many processes may run."""
        return self.workers or os.cpu_count() or 1


def run(settings: Settings, folder: Path) -> None:
    """Learn, compare, export."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.control import print_control  # noqa: PLC0415
    from simulator.report.control_plots import plot_control  # noqa: PLC0415
    from simulator.study.control.findings import summary  # noqa: PLC0415
    from simulator.study.control.records import write_records  # noqa: PLC0415

    found = _learn(settings)
    files = write_records(found, folder)
    simulated = _simulate(settings, found, files) if settings.replications else None
    finish(
        folder,
        summary(found, simulated),
        lambda console: print_control(found, simulated, console),
        {"control.png": lambda file: plot_control(found, file)} if settings.picture else {},
        files=files,
        as_json=settings.json,
    )


def _learn(settings: Settings) -> ControlStudy:
    """Run learners and rules on the surrogate."""
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.speculation.control.settings import LearnerSettings  # noqa: PLC0415
    from simulator.study.control.race import LEARNERS  # noqa: PLC0415
    from simulator.study.control.study import study  # noqa: PLC0415

    learners = LearnerSettings(
        divisions=settings.divisions,
        first_exploration=settings.first_exploration,
        optimism=settings.optimism,
        explore_intervals=settings.explore_intervals,
        exploit_intervals=settings.exploit_intervals,
    )
    surrogate = _surrogate(settings)
    total = settings.intervals * settings.seeds * len(LEARNERS)
    with progress(total, "learning") as bar:
        return study(
            surrogate,
            learners,
            seeds=range(settings.first_seed, settings.first_seed + settings.seeds),
            intervals=settings.intervals,
            workers=settings.processes,
            advance=bar.advance,
        )


def _simulate(settings: Settings, found: ControlStudy, files: dict[str, Path]) -> Comparison:
    """Serve with the tables in the event simulator."""
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.control.simulated import simulate_tables, table_arms  # noqa: PLC0415

    arms = table_arms(found, files, settings.replications, settings.requests or _REQUESTS)
    with progress(len(arms), "serving with every policy") as bar:
        return simulate_tables(found, arms, workers=settings.processes, advance=bar.advance)


def _surrogate(settings: Settings) -> Surrogate:
    """Compose the scenario of an instance and derive its process."""
    from simulator.commands.one_point import compose_point  # noqa: PLC0415
    from simulator.study.control.surrogate import surrogate  # noqa: PLC0415

    instance = _instance(settings)
    config = compose_point(instance.words, "study control")
    return surrogate(instance, config, settings.backlog_edges or None)


def _instance(settings: Settings) -> Instance:
    from dataclasses import replace  # noqa: PLC0415

    from simulator.study.control.instance import read_instance  # noqa: PLC0415

    found = read_instance(settings.instance, passed_on(settings))
    return replace(
        found,
        gammas=settings.gammas or found.gammas,
        interval_s=found.interval_s if settings.interval_s is None else settings.interval_s,
    )
