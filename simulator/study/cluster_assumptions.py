"""What the results of a cluster rest on, in words."""

from __future__ import annotations

from simulator.scenario import Scenario
from simulator.serving.cluster_config import PREFILL, AutoscalingConfig, FailuresConfig
from simulator.serving.deployment import ClusterPlan
from simulator.serving.link_config import KvLinkConfig
from simulator.units import GIGA


def cluster_assumptions(scenario: Scenario) -> list[str]:
    """List what was assumed of pools, link, scaling and failures; nothing for equal replicas."""
    cluster, found = scenario.config.cluster, []
    if any(pool.role == PREFILL for pool in cluster.pools):
        found.append(_sending(scenario.cluster(scenario.config.speculation.gamma)))
    if cluster.autoscaling is not None:
        found.append(_scaling(cluster.autoscaling))
    if cluster.failures is not None:
        found.append(_failures(cluster.failures))
    return found


def _sending(plan: ClusterPlan) -> str:
    sender = next(pool for pool in plan.pools if pool.role == PREFILL)
    return (
        f"a prefill replica emits the first token, then sends "
        f"{sender.kv_bytes_per_token / 1e3:.0f} kB of keys and values a token, {_way(plan)}; "
        f"it decodes nothing, and its blocks are free as soon as the sending starts"
    )


def _way(plan: ClusterPlan) -> str:
    """Say how keys and values go."""
    topology, link = plan.topology, plan.kv_link or KvLinkConfig()
    if topology is None:
        return (
            f"one request after another, at {link.bytes_per_s / GIGA:g} GB/s and "
            f"{link.latency_s * 1e3:g} ms of latency{_degraded(link)}"
        )
    followed = all(pool.dispatch is not None and pool.dispatch.events for pool in plan.pools)
    within = "slows these transfers, and they slow it" if followed else "does not slow them"
    return (
        f"from all its GPUs at once over the links of {topology.title} at their peaks, which "
        f"transfers share by max-min fairness; replicas stand on its GPUs in order, and the "
        f"exchange of experts within their steps {within}"
    )


def _degraded(link: KvLinkConfig) -> str:
    stretches = ", ".join(
        f"{time.factor:.3g} of that from {time.at_s:g} to {time.at_s + time.for_s:g} s"
        for time in link.degraded
    )
    return f" ({stretches})" if stretches else ""


def _scaling(scaling: AutoscalingConfig) -> str:
    return (
        f"replicas follow Kubernetes' rule every {scaling.interval_s:g} s by {scaling.signal} "
        f"(target {scaling.target:g}), take {scaling.startup_s:g} s to start, which is paid for, "
        f"and are given up after {scaling.stabilisation_s:g} s"
    )


def _failures(failures: FailuresConfig) -> str:
    random = ""
    if failures.mtbf_s is not None and failures.mttr_s is not None:
        random = (
            f" (one a replica every {failures.mtbf_s:g} s in the mean, back after "
            f"{failures.mttr_s:g} s, both exponential)"
        )
    return (
        f"a replica that is lost{random} loses all it holds; the router knows at once, and its "
        f"requests begin anew elsewhere, up to {failures.max_retries} times; while no replica "
        f"serves they wait at the router, where nobody times out or gives up"
    )
