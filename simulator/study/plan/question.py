"""What a plan is asked: traffic and objectives, what may be rented, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.config import Config
from simulator.errors import ConfigError
from simulator.hardware.gpu import load_gpu
from simulator.slo import SloConfig
from simulator.speculation.config import MAX_DRAFT_TOKENS
from simulator.speculation.policies import FIXED, POLICIES
from simulator.study.plan.deployment import NATIVE, Split
from simulator.study.plan.objectives import objectives_of

PEAK_TO_MEAN = 1.71
"""Peak hour over mean where the workload does not say: Azure's conversations of 2024 (assumed)."""

LEAST_REQUESTS = 100
"""Requests of a replication at least. Assumed: with fewer, one that is late is more than 1 %."""

OWNED = {
    "hardware": "gpus=",
    "hardware.gpu": "gpus=",
    "hardware.tensor_parallel": "tensor_parallel=",
    "hardware.data_parallel": "data_parallel=",
    "hardware.expert_parallel": "expert_parallel=",
    "hardware.pipeline_parallel": "pipeline_parallel=",
    "hardware.replicas": "max_gpus=",
    "model.dtype": "precisions=",
    "model.expert_dtype": "precisions=",
    "speculation.gamma": "gammas=",
    "speculation.policy": "policies=",
    "speculation.schedule": "policies=batch_schedule",
    "scheduler.max_num_seqs": "max_num_seqs=",
    "cluster": "disaggregate=",
    "cluster.pools": "disaggregate=",
    "run.replications": "replications=",
    "run.requests": "requests=",
    "run.warmup_fraction": "requests=",
    "run.workers": "workers=",
}
"""Scenario settings that a plan chooses by itself, and what to say instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What may be rented, and how it may be run: the plan tries every combination that fits.

    Parameters
    ----------
    gpus
        Kinds of GPUs (``hardware_specs/gpus``), at least one.
    models
        Names in the config group ``model``; empty takes the one of the scenario.
    precisions
        Weight formats (`deployment.precision_settings`). Not all weights exist in all formats, and
        a format may change what the model answers: that is for who asks to judge.
    tensor_parallel, data_parallel
        Sizes to try. Those that do not fit a node or the model are left out.
    expert_parallel
        Whether experts are also spread whole over the GPUs of a replica (always with several
        attention groups), not only split.
    pipeline_parallel
        Stages to try.
    gammas
        Draft lengths to try; 0 serves without speculation.
    policies
        Draft-length policies to try at each draft length above 0. ``batch_schedule`` takes the
        schedule that the closed form prefers.
    max_num_seqs
        Batch limits to try; empty takes the scenario's.
    splits
        Prefill and decode pools to try; None is replicas that serve whole requests.

    Raises
    ------
    ConfigError
        If a set is empty, or a size or a name makes no sense.
    """

    gpus: tuple[str, ...]
    models: tuple[str, ...] = ()
    precisions: tuple[str, ...] = (NATIVE,)
    tensor_parallel: tuple[int, ...] = (1, 2, 4, 8)
    data_parallel: tuple[int, ...] = (1, 2, 4, 8)
    expert_parallel: bool = True
    pipeline_parallel: tuple[int, ...] = (1,)
    gammas: tuple[int, ...] = (0, 1, 3, 5)
    policies: tuple[str, ...] = (FIXED,)
    max_num_seqs: tuple[int, ...] = ()
    splits: tuple[Split | None, ...] = (None,)

    def __post_init__(self) -> None:
        needed = ("gpus", "precisions", "tensor_parallel", "data_parallel", "pipeline_parallel")
        for name in (*needed, "gammas", "policies", "splits"):
            if not getattr(self, name):
                raise ConfigError(
                    f"{name}= is empty, so there is nothing to choose from; name at least one."
                )
        self._check_each()
        for gpu in self.gpus:
            load_gpu(gpu)
        for policy in self.policies:
            POLICIES.get(policy, "policies")
        if not any(self.gammas) and self.policies != (FIXED,):
            raise ConfigError(
                f"policies={','.join(self.policies)} has no effect: gammas=0 drafts nothing. Leave "
                "it out, or add draft lengths to gammas=."
            )

    def _check_each(self) -> None:
        """Refuse a value that is there twice, and sizes that are none."""
        sizes = {"tensor_parallel", "data_parallel", "pipeline_parallel", "max_num_seqs"}
        for name in (*sorted(sizes), "gpus", "models", "precisions", "gammas", "policies"):
            values = getattr(self, name)
            for at, value in enumerate(values):
                if value in values[:at]:
                    raise ConfigError(f"{name}={value} is there twice; name it once.")
                if name in sizes and value < 1:
                    raise ConfigError(f"{name}={value} must be at least 1.")
        for gamma in self.gammas:
            if not 0 <= gamma <= MAX_DRAFT_TOKENS:
                raise ConfigError(
                    f"gammas={gamma} must lie in 0..{MAX_DRAFT_TOKENS}; 0 is no speculation."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan must stay within.

    Parameters
    ----------
    max_gpus
        Most GPUs of a deployment.
    max_usd_per_hour
        Budget; kinds of GPUs whose price is unknown are not held to it, and that is said.
    """

    max_gpus: int = 512
    max_usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        if self.max_gpus < 1:
            raise ConfigError(f"max_gpus={self.max_gpus!r} must be at least 1.")
        if self.max_usd_per_hour is not None and not self.max_usd_per_hour > 0:
            raise ConfigError(
                f"max_usd_per_hour={self.max_usd_per_hour!r} must be above 0; leave it out for no "
                "budget."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is simulated, and where results are kept.

    Parameters
    ----------
    replications
        Most replications of a deployment at one load; fewer where that is clear (`decide`).
    requests
        Requests of a replication; None takes as many as reach and show a steady state
        (`horizon`).
    confirmations
        Fresh seeds with which the first row is confirmed.
    rate_tolerance
        How exactly the highest rate is found, relative.
    workers
        Simulations at a time; None takes as many as the executor has workers.
    cache
        Folder of results by content; None keeps none.
    """

    replications: int = 5
    requests: int | None = None
    confirmations: int = 5
    rate_tolerance: float = 0.05
    workers: int | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.replications < 2:
            raise ConfigError(
                f"replications={self.replications!r} must be at least 2: one gives no interval."
            )
        if self.confirmations < 1:
            raise ConfigError(
                f"confirmations={self.confirmations!r} must be at least 1: the first row of a plan "
                "is never one that only the search has seen."
            )
        if self.requests is not None and self.requests < LEAST_REQUESTS:
            raise ConfigError(
                f"requests={self.requests!r} must be at least {LEAST_REQUESTS}: fewer do not tell "
                "whether a share of requests is in time. Leave it out for as many as it takes."
            )
        if not 0.001 <= self.rate_tolerance <= 0.5:
            raise ConfigError(f"rate_tolerance={self.rate_tolerance!r} must lie in 0.001..0.5.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: which deployment holds the objectives at the target load for the least money.

    Parameters
    ----------
    overrides
        Scenario settings as they were given, for the commands that reproduce rows.
    config
        The scenario that they compose: traffic (``workload.rate`` is the target load), objectives,
        acceptance, engine, scheduler.
    candidates, limits, effort
        What may be rented, within what, and how hard to look.
    usd_per_gpu_hour
        Price of one GPU by kind; a kind that is missing is ranked by GPUs, behind those that have
        one.
    peak_to_mean
        Peak hour over mean rate; None takes the workload's swing, or `PEAK_TO_MEAN`.

    Raises
    ------
    ConfigError
        If there is no rate or no objective to plan for, or a setting is given that the plan
        chooses.
    """

    overrides: tuple[str, ...]
    config: Config
    candidates: Candidates
    limits: Limits = field(default_factory=Limits)
    effort: Effort = field(default_factory=Effort)
    usd_per_gpu_hour: Mapping[str, float] = field(default_factory=dict)
    peak_to_mean: float | None = None

    def __post_init__(self) -> None:
        check_overrides(self.overrides)
        if self.config.workload.rate is None:
            raise ConfigError(
                "workload.rate is not set, so there is no load to plan for; give the mean "
                "requests/s, for example workload.rate=20."
            )
        cluster = self.config.cluster
        if cluster.pools or cluster.changes:
            raise ConfigError(
                "the scenario's cluster has pools, autoscaling, failures or slower links, but a "
                "plan is about equal replicas that stay; leave these settings out "
                "(disaggregate=true tries prefill and decode apart)."
            )
        if self.config.speculation.drafter_gpus == "own":
            raise ConfigError(
                "speculation.drafter_gpus=own: a plan does not place drafters on GPUs of their "
                "own; take shared."
            )
        drafting = self.config.speculation
        if drafting.acceptance == "iid" and drafting.alpha == 0.0 and any(self.candidates.gammas):
            raise ConfigError(
                "speculation.alpha=0.0 accepts no draft, so draft lengths above 0 have no effect; "
                "set gammas=0 to plan without speculation, or choose another speculation=."
            )
        if self.peak_to_mean is not None and self.peak_to_mean < 1.0:
            raise ConfigError(f"peak_to_mean={self.peak_to_mean!r} must be at least 1.")
        if not any(slo.bounds for slo in self.objectives.values()):
            raise ConfigError(
                "no class of requests is promised anything, so any deployment would do; choose "
                "slo=chat, slo=reasoning, ... or give slo.ttft_s= and slo.tpot_s=."
            )

    @property
    def target_rate(self) -> float:
        """Requests/s that must be served."""
        return self.config.workload.rate or 0.0

    @property
    def objectives(self) -> dict[str, SloConfig]:
        """What each class of requests is promised, by its name, in the order of the classes."""
        return objectives_of(self.config)

    @property
    def peak(self) -> tuple[float, str]:
        """Peak hour over mean rate, and where that is from."""
        swing = self.config.workload.swing
        if self.peak_to_mean is not None:
            return self.peak_to_mean, "as given"
        if swing is not None:
            return swing.peak_to_mean, "workload.swing"
        return PEAK_TO_MEAN, "assumed: Azure's conversations of 2024"

    def usd_per_hour(self, gpu: str, gpus: int) -> float | None:
        """Return the price of so many GPUs of a kind; None where it is unknown."""
        price = self.usd_per_gpu_hour.get(gpu)
        return None if price is None else gpus * price

    @property
    def base_overrides(self) -> tuple[str, ...]:
        """Scenario settings that hold for every deployment."""
        return tuple(word for word in self.overrides if not word.startswith("model="))


def check_overrides(overrides: tuple[str, ...]) -> None:
    """Refuse scenario settings that the plan chooses.

    Raises
    ------
    ConfigError
        If there is one.
    """
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if key in OWNED:
            raise ConfigError(
                f"{word}: the plan chooses {key} by itself; narrow its choice with {OWNED[key]}"
            )
