"""What a result takes for granted about experts in host memory, in words."""

from __future__ import annotations

from simulator.experts.config import LEARNED, PINNED
from simulator.experts.predictor import load_predictor
from simulator.experts.routes import PROMPTS
from simulator.experts.sampling import Archetype
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
    if config.drawn:
        found.append(
            f"what is resident is followed along the routes of requests, which keep to a sequence "
            f"of up to {PROMPTS[1]} tokens each; a verify step moves on by all of its tokens, and "
            f"prompts route like other requests than those that decode after them"
        )
    else:
        left = "" if pinned else ": what is resident is what equal steps before have left"
        found.append(f"misses are those of closed forms, each step for itself{left}")
    if offload.prefetch_experts:
        found.append(
            f"prefetcher {offload.prefetch} brings up to {offload.prefetch_experts} experts a "
            f"layer, hidden behind drafting and the layers before; its own computation takes no "
            f"time"
        )
    if offload.prefetch == LEARNED:
        predictor = load_predictor(str(offload.predictor))
        if not predictor.recorded:
            found.append(
                f"what a drafter sees of a token is {predictor.view.size} features: a linear code "
                f"of its experts, and noise of {predictor.view.noise_sd:g} times its deviation"
            )
    return [*found, *_popularity(scenario, transfers.archetype)]


def _popularity(scenario: Scenario, archetype: Archetype) -> list[str]:
    """Say how popular experts are taken to be; the recorded routes say it themselves."""
    law = scenario.config.routing.law
    if law == "recorded":
        return []
    if not archetype.popularity_sd and not archetype.request_sd:
        return [
            "all experts are equally popular with every request, so that what is resident is "
            "needed no more often than what is not (an upper bound of the misses)"
        ]
    preferences = "as configured" if law == "sampled" else "fitted to overlaps of their tokens"
    return [
        f"how requests of {scenario.config.model.title} prefer experts is {preferences}; how "
        f"popular experts are over all requests is assumed"
    ]
