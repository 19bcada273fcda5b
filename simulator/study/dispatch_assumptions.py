"""What a result rests on where dispatch is followed event by event, in words."""

from __future__ import annotations

from simulator.dispatching import replica_topology
from simulator.scenario import Scenario


def dispatch_assumptions(scenario: Scenario) -> list[str]:
    """List what was assumed of devices and exchanges; nothing where they are no events."""
    config = scenario.config
    if not config.experts.events:
        return []
    found = [
        "a GPU computes one thing at a time, and kernels of an exchange take nothing from it; "
        "attention takes every GPU as long as the busiest, host work and drafting come before the "
        "first layer"
    ]
    if scenario.parallelism.data > 1:
        found.append(
            f"an exchange begins when the last GPU is ready and ends for all at once; it takes "
            f"the links{_where(scenario)} for its bytes at their peaks, and what it was measured "
            f"to take beyond that follows on no link"
        )
    else:
        found.append(
            "all attention is in one group: nothing is dispatched, and its all-reduces take no "
            "links from others"
        )
    if config.experts.two_batch_overlap:
        found.append("a step is cut into two batches of equal requests and prompt tokens")
    return found


def _where(scenario: Scenario) -> str:
    config = scenario.config
    if config.cluster.topology is not None:
        return f" of {config.cluster.topology}, with whatever else goes over them,"
    topology = replica_topology(config, scenario.gpu, scenario.parallelism)
    return f" of {topology.title}"
