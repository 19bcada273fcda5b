"""What a result takes for granted about experts in host memory, in words."""

from __future__ import annotations

from simulator.experts.config import PINNED
from simulator.scenario import Scenario
from simulator.units import GIGA


def offload_assumptions(scenario: Scenario) -> list[str]:
    """Say how experts come from host memory, who is resident, and how popular experts are.

    Parameters
    ----------
    scenario
        The scenario; one without ``experts.offload`` assumes nothing here.
    """
    transfers, config = scenario.step_model.offload, scenario.config.experts
    if transfers is None or config.offload is None:
        return []
    offload, total = config.offload, transfers.archetype.experts
    bandwidth = offload.host_bandwidth or scenario.gpu.host_bandwidth or 0.0
    whose = "as given" if offload.host_bandwidth else f"the peak of {scenario.gpu.title}"
    pinned = offload.policy == PINNED
    which = "most popular over all traffic, for good" if pinned else "last used"
    found = [
        f"{offload.resident_experts} of {total} experts of a layer stay on the GPU, the {which}; a "
        f"layer waits while the others that it needs cross the host link one after another, "
        f"{transfers.expert_s * 1e3:.2f} ms each ({bandwidth / GIGA:.3g} GB/s, {whose}); nothing "
        f"overlaps this, and host memory holds all experts"
    ]
    if config.fidelity == "expected":
        left = "" if pinned else ": what is resident is what equal steps before have left"
        found.append(f"misses are those of closed forms, each step for itself{left}")
    if offload.prefetch_experts:
        found.append(
            f"prefetcher {offload.prefetch} brings up to {offload.prefetch_experts} experts a "
            f"layer, hidden behind the layers before; its own computation takes no time"
        )
    found.append(_popularity(scenario))
    return found


def _popularity(scenario: Scenario) -> str:
    transfers, title = scenario.step_model.offload, scenario.config.model.title
    if transfers is None or not transfers.archetype.request_sd:
        return (
            "all experts are equally popular with every request, so that what is resident is "
            "needed no more often than what is not (an upper bound of the misses)"
        )
    return (
        f"how requests of {title} prefer experts is fitted to overlaps of their tokens; how "
        f"popular experts are over all requests is assumed"
    )
