"""Settings of a cluster that is more than equal replicas: the config group ``cluster``."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.errors import ConfigError, unknown, written
from simulator.serving.link_config import (
    DegradedLinkConfig,
    KvLinkConfig,
    check_not_negative,
    check_positive,
)

MIXED, PREFILL, DECODE = ROLES = ("mixed", "prefill", "decode")
"""What the replicas of a pool do: all of a request, its prefill, or what follows that."""

SIGNALS = ("queue", "utilisation", "slo")
"""What an autoscaler looks at (`serving.autoscaling`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """An entry of ``cluster.pools``: equal replicas. What is null is as in ``hardware``.

    Parameters
    ----------
    name
        For messages and reports.
    role
        ``mixed`` serves whole requests; ``prefill`` hands them over after their first token to
        ``decode``.
    replicas
        How many there are.
    gpu, engine, tensor_parallel, data_parallel, expert_parallel, pipeline_parallel, all2all_backend
        As in ``hardware``.
    """

    name: str
    role: str = MIXED
    replicas: int = 1
    gpu: str | None = None
    engine: str | None = None
    tensor_parallel: int | None = None
    data_parallel: int | None = None
    expert_parallel: int | None = None
    pipeline_parallel: int | None = None
    all2all_backend: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(unknown("role", self.role, ROLES, f"pool {self.name}"))
        if not 1 <= self.replicas <= 4096:
            raise ConfigError(
                f"pool {self.name} has replicas={self.replicas!r}, which must lie in 1..4096."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingConfig:
    """Replicas come and go with the load (`serving.autoscaling`).

    Parameters
    ----------
    pool
        Name of the pool that is scaled; null where there is one.
    min_replicas, max_replicas
        Bounds; the run starts with ``hardware.replicas``, or those of the pool.
    signal
        ``queue``: requests waiting or running at a replica. ``utilisation``: share of its KV cache
        that is taken. ``slo``: 90th percentile of TTFT, of requests that left since the last look.
    target
        Value of the signal that is aimed at: requests, a share, or s.
    interval_s
        Time between two looks, s.
    startup_s
        From the decision until a new replica takes requests, s; it is paid for from the decision.
    stabilisation_s
        Replicas are given up only after fewer were enough for so long, s.
    """

    pool: str | None = None
    min_replicas: int = 1
    max_replicas: int
    signal: str = "queue"
    target: float
    interval_s: float = 15.0
    startup_s: float = 60.0
    stabilisation_s: float = 300.0

    def __post_init__(self) -> None:
        if self.signal not in SIGNALS:
            raise ConfigError(unknown("signal", self.signal, SIGNALS, "cluster.autoscaling.signal"))
        if not 1 <= self.min_replicas <= self.max_replicas <= 4096:
            raise ConfigError(
                f"cluster.autoscaling.min_replicas={self.min_replicas!r} and max_replicas="
                f"{self.max_replicas!r} must satisfy 1 <= min <= max <= 4096."
            )
        path = "cluster.autoscaling"
        check_positive(path, target=self.target, interval_s=self.interval_s)
        check_not_negative(path, startup_s=self.startup_s, stabilisation_s=self.stabilisation_s)
        if self.signal == "utilisation" and self.target >= 1:
            raise ConfigError(
                f"{path}.target={self.target!r} must be below 1 for signal=utilisation, the share "
                "of the KV cache that is taken."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The loss of a replica at a known time.

    Parameters
    ----------
    at_s
        When, s.
    replica
        Its number: pools count on from one to the next.
    repair_s
        Until it takes requests again, s; null if it never does.
    """

    at_s: float
    replica: int
    repair_s: float | None = None

    def __post_init__(self) -> None:
        check_not_negative("cluster.failures.losses", at_s=self.at_s, replica=self.replica)
        if self.repair_s is not None:
            check_positive("cluster.failures.losses", repair_s=self.repair_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresConfig:
    """Replicas are lost, with all that they hold, and return empty (`serving.failures`).

    Parameters
    ----------
    losses
        Losses at known times.
    mtbf_s, mttr_s
        Mean times of a replica between a return and the next loss, and from a loss to the return,
        s; both exponential. Null for none but the known ones.
    max_retries
        How often a request is tried anew before it leaves as failed.
    """

    losses: tuple[LossConfig, ...] = ()
    mtbf_s: float | None = None
    mttr_s: float | None = None
    max_retries: int = 3

    def __post_init__(self) -> None:
        if (self.mtbf_s is None) != (self.mttr_s is None):
            raise ConfigError(
                f"cluster.failures.mtbf_s={written(self.mtbf_s)} and mttr_s="
                f"{written(self.mttr_s)}: set both or neither."
            )
        if self.mtbf_s is not None and self.mttr_s is not None:
            check_positive("cluster.failures", mtbf_s=self.mtbf_s, mttr_s=self.mttr_s)
        elif not self.losses:
            raise ConfigError(
                "cluster.failures names no losses and no mtbf_s: nothing would fail. Set one, or "
                "cluster.failures=null."
            )
        if not 0 <= self.max_retries <= 10_000:
            raise ConfigError(
                f"cluster.failures.max_retries={self.max_retries!r} must lie in 0..10000."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityConfig:
    """When ``scheduler.router=prefix_affinity`` prefers load to prefix (`router.PrefixAffinity`).

    The defaults are those of SGLang's router 0.1.9 (``sglang_router.router.Router``:
    ``cache_threshold``, ``balance_abs_threshold``, ``balance_rel_threshold``).

    Parameters
    ----------
    min_share
        A cached prefix counts if it is more than this share of the prompt.
    imbalance_requests, imbalance_ratio
        Loads are out of balance where the largest exceeds the smallest by more than this number of
        requests and this factor.
    """

    min_share: float = 0.5
    imbalance_requests: int = 32
    imbalance_ratio: float = 1.0001

    def __post_init__(self) -> None:
        path = "cluster.prefix_affinity"
        check_not_negative(path, imbalance_requests=self.imbalance_requests)
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"{path}.min_share={self.min_share!r} must lie in [0, 1].")
        if not self.imbalance_ratio >= 1:
            raise ConfigError(
                f"{path}.imbalance_ratio={self.imbalance_ratio!r} must be at least 1."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The config group ``cluster``.

    Parameters
    ----------
    pools
        Groups of equal replicas; none for the ``hardware.replicas`` alone.
    kv_link
        Between prefill and decode pools; null takes the defaults of `KvLinkConfig`.
    topology
        Instead of it: name or path of a topology (`hardware.topology`) on whose GPUs the replicas
        stand, in order, and over whose links keys and values go.
    degraded_links
        Times in which links of the topology are slower.
    autoscaling, failures
        What changes the cluster on the way; null for nothing.
    prefix_affinity
        Thresholds of that router.
    """

    pools: tuple[PoolConfig, ...] = ()
    kv_link: KvLinkConfig | None = None
    topology: str | None = None
    degraded_links: tuple[DegradedLinkConfig, ...] = ()
    autoscaling: AutoscalingConfig | None = None
    failures: FailuresConfig | None = None
    prefix_affinity: AffinityConfig = field(default_factory=AffinityConfig)

    def __post_init__(self) -> None:
        names = [pool.name for pool in self.pools]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"cluster.pools has {names.count(name)} pools named {name!r}; name them "
                    "differently."
                )
        roles = {pool.role for pool in self.pools}
        if roles not in (set(), {MIXED}, {PREFILL, DECODE}):
            raise ConfigError(
                f"cluster.pools has the roles {', '.join(sorted(roles))}: either all pools are "
                "mixed, or some are prefill and the others decode."
            )
        if self.kv_link is not None and PREFILL not in roles:
            raise ConfigError(
                "cluster.kv_link is set, but no pool has the role prefill: nothing would be sent. "
                "Add prefill and decode pools, or set cluster.kv_link=null."
            )
        self._check_topology(PREFILL in roles)

    def _check_topology(self, sends: bool) -> None:
        """Refuse a topology without use, and what has none beside it, or without it."""
        if self.topology is None:
            if self.degraded_links:
                raise ConfigError(
                    "cluster.degraded_links names links of a topology, but cluster.topology is "
                    "null. Set it, or take cluster.kv_link.degraded."
                )
            return
        if not sends:
            raise ConfigError(
                f"cluster.topology={self.topology} is set, but no pool has the role prefill: "
                "nothing would be sent. Add prefill and decode pools, or set "
                "cluster.topology=null."
            )
        if self.kv_link is not None:
            raise ConfigError(
                f"cluster.kv_link has no effect beside cluster.topology={self.topology}, whose "
                "links say how fast they are. Set one of the two to null."
            )

    @property
    def changes(self) -> bool:
        """Whether a run has cluster events: losses, scaling, or a slower link."""
        degraded = self.kv_link.degraded if self.kv_link else self.degraded_links
        return bool(degraded) or self.autoscaling is not None or self.failures is not None

    def fleet(self, replicas: int) -> tuple[PoolConfig, ...]:
        """Return the pools, of which there is one with ``hardware.replicas`` if none is named."""
        return self.pools or (PoolConfig(name="all", replicas=replicas),)

    def scaled(self, replicas: int) -> int | None:
        """Return the position of the pool that is scaled; None without autoscaling.

        Raises
        ------
        ConfigError
            If it is not clear which, or it starts outside the bounds.
        """
        scaling, pools = self.autoscaling, self.fleet(replicas)
        if scaling is None:
            return None
        names = [pool.name for pool in pools]
        if scaling.pool is None and len(pools) > 1:
            raise ConfigError(
                f"cluster.autoscaling.pool is null, but there are several pools: set it to one of "
                f"{', '.join(names)}."
            )
        if scaling.pool is not None and scaling.pool not in names:
            raise ConfigError(unknown("pool", scaling.pool, names, "cluster.autoscaling.pool"))
        position = 0 if scaling.pool is None else names.index(scaling.pool)
        first = pools[position].replicas
        if not scaling.min_replicas <= first <= scaling.max_replicas:
            raise ConfigError(
                f"the run starts with {first} replicas, outside cluster.autoscaling.min_replicas="
                f"{scaling.min_replicas} to max_replicas={scaling.max_replicas}. Change hardware."
                "replicas, that of the pool, or the bounds."
            )
        return position

    def slots(self, replicas: int) -> list[int]:
        """Return by pool the most replicas that it may have at once."""
        counts = [pool.replicas for pool in self.fleet(replicas)]
        position = self.scaled(replicas)
        if position is not None and self.autoscaling is not None:
            counts[position] = self.autoscaling.max_replicas
        return counts

    def check_beside(self, replicas: int) -> None:
        """Check the group against ``hardware.replicas``.

        Raises
        ------
        ConfigError
            If a setting has no effect, or names a replica or pool that does not exist.
        """
        if self.pools and replicas != 1:
            raise ConfigError(
                f"hardware.replicas={replicas} has no effect beside cluster.pools. Set the "
                "replicas of each pool instead."
            )
        total = sum(self.slots(replicas))
        for loss in self.failures.losses if self.failures else ():
            if loss.replica >= total:
                raise ConfigError(
                    f"cluster.failures.losses names replica {loss.replica}, but there are replicas "
                    f"0 to {total - 1} only."
                )
