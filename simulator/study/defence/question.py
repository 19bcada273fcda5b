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
from simulator.serving.tenants.config import TenantsConfig
from simulator.study.defence.models import DEFENCES, NONE


@dataclass(frozen=True, slots=True)
class Case:
    """A point of the frontier.

    Parameters
    ----------
    defence, nu
        The model that answers (`models.DEFENCES`), and the noise before it.
    rate_limit_per_s
        Queries per second that a tenant may send; infinite for no limit.
    attacked
        Whether there are attackers.
    """

    defence: str
    nu: float
    rate_limit_per_s: float
    attacked: bool = True


PEACE, BARE = Case(NONE, 0.0, math.inf, attacked=False), Case(NONE, 0.0, math.inf)
"""Without attackers; and with them, but with neither defence nor limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The whole study.

    Parameters
    ----------
    tenants
        Who uses the endpoint; limits and attackers are those of each case.
    defences, nus, rate_limits_per_s
        Axes of the frontier.
    objective_s
        Time in which an ordinary query is to be answered.
    beside
        Overrides that compose the cluster beside the endpoint (`words_beside`); none for none.
    seed, replications
        Of all randomness. Cases share it, replication by replication.
    """

    tenants: TenantsConfig
    defences: Sequence[str]
    nus: Sequence[float]
    rate_limits_per_s: Sequence[float]
    objective_s: float
    beside: tuple[str, ...]
    seed: int
    replications: int

    def __post_init__(self) -> None:
        for name in ("defences", "nus", "rate_limits_per_s"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name}={list(values)} must be different values, at least one.")
        if self.replications < 1:
            raise ConfigError(f"replications={self.replications} must be at least 1.")
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
    def cases(self) -> list[Case]:
        """All cases: `PEACE` first, then `BARE`, each defence with each limit and with none."""
        limits = [math.inf, *(rate for rate in self.rate_limits_per_s if rate < math.inf)]
        noises = [(NONE, 0.0), *product(self.defences, self.nus)]
        return [PEACE, *(Case(*noise, limit) for noise in noises for limit in limits)]

    def tenants_of(self, case: Case) -> TenantsConfig:
        """Return who uses the endpoint in a case."""
        limits = replace(self.tenants.limits, rate_per_s=case.rate_limit_per_s)
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
        Requests per second, up to the horizon; 0 for no cluster.
    horizon_s, seed
        Of the study.

    Raises
    ------
    ConfigError
        If there is no cluster but overrides of one.

    Examples
    --------
    >>> words_beside(["scenario=code"], 2.0, 300.0, 7)[1:]
    ('workload.rate=2.0', 'run.requests=600', 'run.seed=7')
    """
    if not rate_per_s:
        if overrides:
            raise ConfigError(f"{overrides[0]} has no effect: llm_rate=0 leaves no LLM replicas.")
        return ()
    requests = max(1, round(rate_per_s * horizon_s))
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
            "and each hosts one at most. Lower servers, or set share=null."
        )
