"""Pools of a configuration: each is a scenario of its own, and all serve one workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.config import Config, HardwareConfig
from simulator.errors import ConfigError, TableError
from simulator.hardware.topology import Topology, load_topology
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter, drafter_kv_bytes_per_token
from simulator.models.parameters import kv_bytes_per_token, state_bytes_per_request
from simulator.serving.cluster_config import PREFILL, AffinityConfig, ClusterConfig, PoolConfig
from simulator.serving.deployment import ClusterPlan, Deployment
from simulator.serving.link_config import DegradedLinkConfig, check_apart
from simulator.serving.router import MOST_SESSIONS
from simulator.workload.sharing import has_sessions, shares_prefixes

_OVERRIDES = (
    "gpu",
    "engine",
    "tensor_parallel",
    "data_parallel",
    "expert_parallel",
    "pipeline_parallel",
    "all2all_backend",
)
"""Settings of a pool that replace those of ``hardware``."""

_WITHOUT_THRESHOLDS = frozenset(
    ("round_robin", "least_outstanding", "least_outstanding_tokens", "power_of_two", "sticky")
)
"""Shipped routers that never look at ``cluster.prefix_affinity``; a plug-in may."""


def pool_configs(config: Config) -> list[Config]:
    """Return the configuration of each pool: its hardware in a cluster without pools.

    What changes the cluster belongs to the whole of it. Where transfers are events, replicas lie
    on its topology.
    """
    plain = ClusterConfig(prefix_affinity=config.cluster.prefix_affinity)
    hardware = config.hardware
    if config.experts.events and hardware.topology is None:
        hardware = replace(hardware, topology=config.cluster.topology)
    return [
        replace(config, hardware=_hardware(hardware, pool), cluster=plain)
        for pool in config.cluster.pools
    ]


def _hardware(hardware: HardwareConfig, pool: PoolConfig) -> HardwareConfig:
    values = {key: getattr(pool, key) for key in _OVERRIDES}
    own = {key: value for key, value in values.items() if value is not None}
    try:
        return replace(hardware, replicas=pool.replicas, **own)
    except ConfigError as error:
        raise ConfigError(f"pool {pool.name}: {error}") from error


def shown_pool(cluster: ClusterConfig) -> int:
    """Return the position of the pool that a report speaks of: the first that decodes."""
    return next(
        (index for index, pool in enumerate(cluster.pools) if pool.role != PREFILL),
        0,
    )


def plan_cluster(config: Config, deployments: Sequence[Deployment]) -> ClusterPlan:
    """Return the plan of a cluster from the deployments of its pools."""
    cluster, replicas = config.cluster, config.hardware.replicas
    pools = [
        replace(deployment, role=pool.role)
        for deployment, pool in zip(deployments, cluster.fleet(replicas), strict=True)
    ]
    return ClusterPlan(
        pools=pools,
        scaled=cluster.scaled(replicas) or 0,
        kv_link=cluster.kv_link,
        topology=topology_of(cluster, [pool.gpus for pool in pools]),
        degraded_links=cluster.degraded_links,
        autoscaling=cluster.autoscaling,
        failures=cluster.failures,
    )


def topology_of(cluster: ClusterConfig, gpus: Sequence[int]) -> Topology | None:
    """Return the topology of a cluster with pools; None if it has none.

    Parameters
    ----------
    cluster
        The config group.
    gpus
        Of a replica, by pool.

    Raises
    ------
    ConfigError
        If there is no such topology, it has too few GPUs, or a link that is to be slower is not
        in it, or is slower twice at a time.
    """
    if cluster.topology is None:
        return None
    try:
        topology = load_topology(cluster.topology)
    except TableError as error:
        raise ConfigError(f"cluster.topology={cluster.topology}: {error}") from error
    slots = cluster.slots(replicas=1)
    needed = sum(count * each for count, each in zip(slots, gpus, strict=True))
    if needed > topology.gpus:
        pools = zip(cluster.pools, slots, gpus, strict=True)
        parts = ", ".join(f"{pool.name} {count} x {each}" for pool, count, each in pools)
        raise ConfigError(
            f"cluster.topology={cluster.topology} has {topology.gpus} GPUs, but the pools take "
            f"{needed} ({parts}). Lower their replicas, or take a larger topology: "
            "moesim list topologies."
        )
    path = "cluster.degraded_links"
    by_link: dict[str, list[DegradedLinkConfig]] = {}
    for dip in cluster.degraded_links:
        by_link.setdefault(topology.link(dip.link, path).name, []).append(dip)
    for name, dips in by_link.items():
        check_apart(dips, f"{path} of {name}")
    return topology


def check_astride(
    config: Config, topology: Topology | None, gpus: Sequence[int], own_gpus: Sequence[int]
) -> None:
    """Refuse replicas that lie on more nodes than their steps are priced on.

    Step costs take a replica as lying on the first GPUs of a topology. Where its exchange is
    followed on links, it must lie alike.

    Parameters
    ----------
    config
        With the cluster and its pools.
    topology, gpus
        As `topology_of` returns and takes them.
    own_gpus
        How many of these, the last, hold only a drafter.

    Raises
    ------
    ConfigError
        If one does; the message names it.
    """
    if topology is None or not config.experts.events:
        return
    island, first = topology.island_gpus, 0
    slots = config.cluster.slots(replicas=1)
    pools = zip(config.cluster.pools, slots, gpus, own_gpus, strict=True)
    for pool, count, each, own in pools:
        for _ in range(count):
            last = first + each - own - 1
            if last // island - first // island > (last - first) // island:
                raise ConfigError(
                    f"pool {pool.name}: a replica would lie on GPUs {first} to {last} of "
                    f"cluster.topology={topology.name}, astride nodes of {island}, which "
                    f"experts.fidelity=event does not price; list pools of larger replicas first."
                )
            first += each


def sent_bytes(target: Architecture, drafter: Drafter | None) -> tuple[float, float]:
    """Return what a prefill replica sends: bytes of a token, and of a request besides.

    Keys and values once, however many GPUs hold copies of them, those of the drafter included; the
    state of linear attention goes with each request.
    """
    token_bytes = kv_bytes_per_token(target)
    if drafter is not None:
        token_bytes += drafter_kv_bytes_per_token(drafter, target)
    return token_bytes, state_bytes_per_request(target)


def check_router(config: Config) -> None:
    """Refuse a router that goes by what no request has, and thresholds of one that is not there.

    Raises
    ------
    ConfigError
        If it does, or they would have no effect.
    """
    workload, router = config.workload, config.scheduler.router
    if router == "sticky" and not has_sessions(workload):
        raise ConfigError(
            "scheduler.router=sticky keeps conversations at a replica, but there are none; set "
            "workload.sessions, or take scheduler.router=least_outstanding."
        )
    live = workload.sessions.live if workload.sessions else None
    if router == "sticky" and live is not None and live > MOST_SESSIONS:
        raise ConfigError(
            f"scheduler.router=sticky remembers {MOST_SESSIONS:,} conversations, fewer than "
            f"workload.sessions.live={live:,}; lower that, or take "
            "scheduler.router=prefix_affinity."
        )
    finds = config.scheduler.prefix_cache and shares_prefixes(workload)
    if router == "prefix_affinity" and not finds:
        raise ConfigError(
            "scheduler.router=prefix_affinity goes by cached prefixes, but no request finds any; "
            "set workload.shared_prefix or workload.sessions and scheduler.prefix_cache=true, or "
            "take scheduler.router=least_outstanding."
        )
    if router in _WITHOUT_THRESHOLDS and config.cluster.prefix_affinity != AffinityConfig():
        raise ConfigError(
            f"cluster.prefix_affinity differs from its defaults, but scheduler.router={router} "
            "does not look at it; take scheduler.router=prefix_affinity, or leave it as it is."
        )
