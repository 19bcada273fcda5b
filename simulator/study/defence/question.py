"""What a study of a defence asks: which cases, over which replications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from simulator.compose import compose
from simulator.errors import ConfigError, unknown
from simulator.scenario import Scenario, build
from simulator.serving.tenants.config import LimitsConfig, TenantsConfig
from simulator.study.defence.models import DEFENCES, NOISE, NONE


@dataclass(frozen=True, slots=True)
class Case:
    """A point of the frontier.

    Parameters
    ----------
    defence, nu
        The model that answers (`models.DEFENCES`), and the noise before it.
    rate_limit_per_s
        Queries per second that a tenant may send; infinite for no limit.
    quota
        Queries that a tenant may send in all; None for no quota.
    attacked
        Whether there are attackers.
    """

    defence: str
    nu: float
    rate_limit_per_s: float
    quota: int | None = None
    attacked: bool = True

    @property
    def limited(self) -> bool:
        """Whether a tenant may not send what it likes."""
        return self.rate_limit_per_s < math.inf or self.quota is not None

    def limits(self, burst: int) -> LimitsConfig:
        """Return its limits, of bursts as given."""
        return LimitsConfig(rate_per_s=self.rate_limit_per_s, burst=burst, quota=self.quota)


PEACE, BARE = Case(NONE, 0.0, math.inf, attacked=False), Case(NONE, 0.0, math.inf)
"""Without attackers; and with them, but with neither defence nor limit."""

MORE_REQUESTS, SPARE_REQUESTS = 1.2, 50
"""Requests of the cluster beside, over those that arrive up to the horizon in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The whole study.

    Parameters
    ----------
    tenants
        Who uses the endpoint; attackers and limits, but for bursts, are those of each case.
    defences, nus, rate_limits_per_s
        Axes of the frontier.
    quota
        Of a tenant, in the cases with a limit.
    objective_s
        Time in which an ordinary query is to be answered.
    beside
        Overrides that compose the cluster beside the endpoint (`words_beside`); none for none.
    seed, replications
        Of all randomness. Cases share it, replication by replication.
    variant_sessions
        Sessions of every variant of the attack (`variants`); 0 to try none.
    """

    tenants: TenantsConfig
    defences: Sequence[str]
    nus: Sequence[float]
    rate_limits_per_s: Sequence[float]
    objective_s: float
    beside: tuple[str, ...]
    seed: int
    replications: int
    quota: int | None = None
    variant_sessions: int = 0

    def __post_init__(self) -> None:
        axes = {"defences": self.defences, "nus": self.nus, "limits": self.rate_limits_per_s}
        for name, values in axes.items():
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name}={list(values)} must be different values, at least one.")
        for limit in self.rate_limits_per_s:
            if not limit > 0.0:
                raise ConfigError(
                    f"limits={list(self.rate_limits_per_s)}: {limit} queries/s would let nobody "
                    "in; give rates above 0, or inf for no limit."
                )
        for name, least in {"replications": 1, "variant_sessions": 0, "quota": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}={value} must be at least {least}.")
        for defence in self.defences:
            if defence not in DEFENCES:
                raise ConfigError(unknown("defence", defence, DEFENCES, "defences"))
        for nu in self.nus:
            if not 0.0 < nu <= 1.0:
                raise ConfigError(
                    f"nus={list(self.nus)}: {nu} must lie in (0, 1], pixels range from 0 to 1. The "
                    "case without noise is always there."
                )
        if not self.tenants.attackers:
            raise ConfigError("attackers=0 leaves nothing to defend against; give some.")
        _check_sharing(self.tenants, self.beside)

    @property
    def noises(self) -> list[tuple[str, float]]:
        """Defences and their noise: none, then all; what has a model of its own, without too."""
        own = [(defence, 0.0) for defence in self.defences if defence != NOISE]
        noises = [*own, *product(self.defences, self.nus)]
        return [(NONE, 0.0), *sorted(noises, key=lambda one: self.defences.index(one[0]))]

    @property
    def limits(self) -> list[tuple[float, int | None]]:
        """Rates and quotas: none, the quota alone if there is one, and both."""
        alone = [] if self.quota is None else [(math.inf, self.quota)]
        finite = [rate for rate in self.rate_limits_per_s if rate < math.inf]
        return [(math.inf, None), *alone, *((rate, self.quota) for rate in finite)]

    @property
    def cases(self) -> list[Case]:
        """All cases: `PEACE` first, then `BARE`, each noise with each limit and with none."""
        return [PEACE, *(Case(*noise, *limit) for noise in self.noises for limit in self.limits)]

    def tenants_of(self, case: Case) -> TenantsConfig:
        """Return who uses the endpoint in a case."""
        limits = case.limits(self.tenants.limits.burst)
        attackers = self.tenants.attackers if case.attacked else 0
        return replace(self.tenants, limits=limits, attackers=attackers)


def words_beside(
    overrides: Sequence[str], rate_per_s: float, horizon_s: float, seed: int
) -> tuple[str, ...]:
    """Return the overrides that compose the cluster beside the endpoint; none for no cluster.

    Parameters
    ----------
    overrides
        As for ``moesim simulate``.
    rate_per_s
        Requests per second; 0 for no cluster. There are enough that they hardly ever end before the
        horizon; those that arrive after it are not measured.
    horizon_s, seed
        Of the study.

    Raises
    ------
    ConfigError
        If there is no cluster but overrides of one.

    Examples
    --------
    >>> words_beside(["scenario=code"], 2.0, 300.0, 7)[1:]
    ('workload.rate=2.0', 'run.requests=770', 'run.seed=7')
    """
    if not rate_per_s:
        if overrides:
            raise ConfigError(f"{overrides[0]} has no effect: llm_rate=0 leaves no LLM replicas.")
        return ()
    requests = round(MORE_REQUESTS * rate_per_s * horizon_s) + SPARE_REQUESTS
    own = (f"workload.rate={rate_per_s}", f"run.requests={requests}", f"run.seed={seed}")
    return (*overrides, *own)


@lru_cache(maxsize=1)
def scenario_beside(words: tuple[str, ...]) -> Scenario:
    """Return the cluster that words compose, built once a process: its step times compile once."""
    return build(compose(words))


def _check_sharing(tenants: TenantsConfig, words: tuple[str, ...]) -> None:
    """Refuse to share GPUs with replicas that are not there, come and go, or are followed."""
    endpoint = tenants.endpoint
    if not words:
        if endpoint.share is not None:
            raise ConfigError(
                f"share={endpoint.share} has no effect: llm_rate=0 leaves no LLM replica to share "
                "a GPU with. Set share=null."
            )
        return
    scenario = scenario_beside(words)
    config = scenario.config
    plan = scenario.cluster(config.speculation.gamma)
    if plan.changes:
        raise ConfigError(
            "the cluster beside the endpoint must stay as it is: no cluster.failures, "
            "cluster.autoscaling or degraded links."
        )
    if endpoint.share is None:
        return
    if config.experts.drawn:
        raise ConfigError(
            f"experts.fidelity={config.experts.fidelity} times steps by itself and cannot share "
            "GPUs; take expected, or share=null."
        )
    replicas = sum(pool.replicas for pool in plan.pools)
    if endpoint.servers > replicas:
        raise ConfigError(
            f"servers={endpoint.servers} on shared GPUs, but the LLM has replicas={replicas}, "
            "and each hosts one at most. Raise hardware.replicas, lower servers, or set share=null."
        )
