"""``moesim study defence``: what noise and limits cost and buy against abusive tenants."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.words import passed_on
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.study.defence.question import Question

PURPOSE = """\
Put a classifier endpoint beside an LLM cluster, and let tenants attack it in
closed loop: the next query waits for the last reply. A real classifier of
handwritten digits answers, behind noise (random noise defence) and limits per
tenant. Says for every noise and limit how many attacks succeed, what they load,
and what ordinary users see, paired; then what attackers can change about it.
Takes about four minutes on two cores. Needs scikit-learn:
pip install 'moesim[study]'."""

EXAMPLES = (
    "study defence",
    "study defence attack=square defences=rnd,rnd_at limits=inf",
    "study defence defences=rnd nus=0.05,0.1,0.2 mu=0.1 stop=first_hit",
    "study defence defences=rnd nus=0.1 limits=inf,2 quota=1000 benign_tenants=500",
    "study defence share=null llm_rate=0 attackers=100 horizon_s=3600 gap_s=600 "
    "defences=rnd nus=0.1 limits=inf replications=1 sessions=0",
)

_SCENARIO = {"help": "as for moesim simulate"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who attacks what, how it is defended, and what is beside it."""

    defences: tuple[str, ...] = field(
        default=("rnd", "rnd_gf"),
        metadata={"help": "rnd, rnd_gf (tuned on noise), rnd_at (on attacks)"},
    )
    nus: tuple[float, ...] = field(
        default=(0.1, 0.2),
        metadata={"help": "noise on pixels from 0 to 1; 0 is always there"},
    )
    limits: tuple[float, ...] = field(
        default=(math.inf, 5.0), metadata={"help": "queries/s of a tenant; inf is none"}
    )
    limit_burst: int | None = field(
        default=None, metadata={"help": "queries at once within a limit (default: 10)"}
    )
    quota: int | None = field(
        default=None, metadata={"help": "queries of a tenant in all, where limits hold"}
    )
    sessions: int = field(
        default=60, metadata={"help": "of each variant of the attack; 0 to try none"}
    )
    attack: str = field(
        default="nes", metadata={"help": "nes, zo_sign, simba, square, random_search"}
    )
    mu: float | None = field(default=None, metadata={"help": "perturbation (default: 0.02)"})
    samples: int | None = field(default=None, metadata={"help": "q of an estimate (default: 15)"})
    step: float | None = field(default=None, metadata={"help": "step (default: radius / 5)"})
    radius: float = field(default=0.15, metadata={"help": "of the ball around a picture"})
    norm: str = field(default="linf", metadata={"help": "of the ball: linf, l2"})
    budget: int = field(default=2000, metadata={"help": "queries of a session"})
    eot: int = field(default=1, metadata={"help": "replies averaged for each point"})
    stop: str = field(default="verified", metadata={"help": "first_hit, or verified by repeats"})
    repeats: int | None = field(
        default=None, metadata={"help": "replies that verify a hit (default: 5)"}
    )
    attackers: int = field(default=20, metadata={"help": "tenants that attack"})
    gap_s: float = field(default=30.0, metadata={"help": "mean time between sessions of one, s"})
    think_s: float = field(default=0.0, metadata={"help": "time between two steps, s"})
    horizon_s: float = field(default=600.0, metadata={"help": "length of a run, s"})
    benign_rate: float = field(default=20.0, metadata={"help": "ordinary queries/s"})
    benign_tenants: int = field(default=50, metadata={"help": "tenants that share them"})
    objective_ms: float = field(default=100.0, metadata={"help": "answered in time, ms"})
    servers: int = field(default=1, metadata={"help": "of the endpoint"})
    batch_ms: float = field(default=4.0, metadata={"help": "fixed time of a batch, ms (assumed)"})
    query_ms: float = field(default=0.5, metadata={"help": "time of a query, ms (assumed)"})
    max_batch: int = field(default=32, metadata={"help": "queries of a batch"})
    share: float | None = field(
        default=0.5, metadata={"help": "of an LLM replica's GPU; null for GPUs of its own"}
    )
    llm_rate: float = field(default=3.0, metadata={"help": "LLM requests/s; 0 for no LLM beside"})
    scenario: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "scenario"})
    model: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "model"})
    hardware: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "hardware"})
    cluster: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "cluster"})
    scheduler: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "scheduler"})
    workload: tuple[str, ...] = field(default=(), metadata={**_SCENARIO, "prefix": "workload"})
    speculation: tuple[str, ...] = field(
        default=(), metadata={**_SCENARIO, "prefix": "speculation"}
    )
    accuracy_loss: float = field(
        default=0.01, metadata={"help": "clean accuracy that the advice may give up"}
    )
    seed: int = field(default=0, metadata={"help": "of all randomness"})
    replications: int = field(default=5, metadata={"help": "independent repetitions"})
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        least = {"seed": 0, "replications": 1, "workers": 1, "sessions": 0, "limit_burst": 1}
        least |= dict.fromkeys(("llm_rate", "accuracy_loss", "batch_ms"), 0)
        for key, bound in least.items():
            value = getattr(self, key)
            if value is not None and not bound <= value < math.inf:
                raise ConfigError(f"{key}={value} must be {bound} or more, and finite.")
        for key in ("objective_ms", "benign_rate", "query_ms"):
            if not 0.0 < getattr(self, key) < math.inf:
                raise ConfigError(f"{key}={getattr(self, key)} must be above 0, and finite.")
        if self.limit_burst is not None and all(map(math.isinf, self.limits)):
            raise ConfigError(
                f"limit_burst={self.limit_burst} has no effect: limits={list(self.limits)} has no "
                "limit. Add one."
            )
        if rate := next((word for word in self.workload if word.startswith("workload.rate=")), ""):
            raise ConfigError(f"{rate}: set llm_rate, which also makes requests up to the horizon.")


def run(settings: Settings, folder: Path) -> None:
    """Attack, defend, compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.defence import print_defence  # noqa: PLC0415
    from simulator.report.defence_plots import plot_defence  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.defence.advice import advice  # noqa: PLC0415
    from simulator.study.defence.findings import (  # noqa: PLC0415
        summary,
        write_sessions,
        write_tenants,
    )
    from simulator.study.defence.frontier import explore, job_count  # noqa: PLC0415
    from simulator.study.executors import open_executor  # noqa: PLC0415
    from simulator.study.executors.in_order import Workers  # noqa: PLC0415

    question = _question(settings)
    workers = settings.workers or os.cpu_count() or 1
    with (
        progress(job_count(question), "attacking") as bar,
        open_executor("processes") as executor,
    ):
        found = explore(question, Workers(executor, workers, bar.advance))
    sentence = advice(found, settings.accuracy_loss)
    finish(
        folder,
        summary(found) | {"advice": sentence},
        lambda console: print_defence(found, sentence, console),
        {"defence.png": lambda file: plot_defence(found, file)} if settings.picture else {},
        files={
            "sessions": write_sessions(found, folder / "sessions.parquet"),
            "tenants": write_tenants(found, folder / "tenants.parquet"),
        },
        as_json=settings.json,
    )


def _question(settings: Settings) -> Question:
    """Put the settings where they belong, which checks them."""
    from simulator.commands.one_point import compose_point  # noqa: PLC0415
    from simulator.serving.tenants.config import (  # noqa: PLC0415
        AttackConfig,
        EndpointConfig,
        LimitsConfig,
        TenantsConfig,
    )
    from simulator.study.defence.question import Question, words_beside  # noqa: PLC0415
    from simulator.study.digit_images import load_digit_images  # noqa: PLC0415
    from simulator.units import MS  # noqa: PLC0415

    load_digit_images()  # told now, not by a worker in the end, where scikit-learn is missing
    beside = words_beside(passed_on(settings), settings.llm_rate, settings.horizon_s, settings.seed)
    if beside:
        compose_point(list(beside), "study defence")
    attack = AttackConfig(
        kind=settings.attack,
        mu=settings.mu,
        samples=settings.samples,
        step=settings.step,
        radius=settings.radius,
        norm=settings.norm,
        budget=settings.budget,
        eot=settings.eot,
        stop=settings.stop,
        repeats=settings.repeats,
    )
    endpoint = EndpointConfig(
        servers=settings.servers,
        batch_s=settings.batch_ms * MS,
        query_s=settings.query_ms * MS,
        max_batch=settings.max_batch,
        share=settings.share,
    )
    tenants = TenantsConfig(
        horizon_s=settings.horizon_s,
        attackers=settings.attackers,
        gap_s=settings.gap_s,
        think_s=settings.think_s,
        benign_rate_per_s=settings.benign_rate,
        benign_tenants=settings.benign_tenants,
        attack=attack,
        limits=LimitsConfig(burst=10 if settings.limit_burst is None else settings.limit_burst),
        endpoint=endpoint,
    )
    return Question(
        tenants=tenants,
        defences=settings.defences,
        nus=settings.nus,
        rate_limits_per_s=settings.limits,
        objective_s=settings.objective_ms * MS,
        beside=beside,
        seed=settings.seed,
        replications=settings.replications,
        quota=settings.quota,
        variant_sessions=settings.sessions,
    )
