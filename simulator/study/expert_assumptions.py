"""What a result rests on where experts are concerned: how tokens pick them, and where they lie."""

from __future__ import annotations

from simulator.experts.config import CONTIGUOUS, LOAD_AWARE
from simulator.experts.overlaps import measured_overlap
from simulator.experts.routes import archetype_of
from simulator.experts.sampling import archetype_names
from simulator.scenario import Scenario


def routing_assumption(scenario: Scenario) -> str:
    """Say how tokens pick their experts."""
    config, target = scenario.config, scenario.config.model
    routing = config.routing
    if target.moe is None:
        return f"{target.title} is dense: every weight is read in every step"
    if routing.law == "recorded":
        return f"tokens pick the experts of the routes in {routing.path}"
    drawn = config.experts.drawn and routing.law == "overlap" and target.name in archetype_names()
    if routing.law == "sampled" or drawn:
        return _archetype(scenario)
    if routing.law == "overlap":
        return _overlap(scenario)
    if routing.law == "uniform":
        return (
            "tokens route to experts independently and uniformly (an upper bound of experts read)"
        )
    return f"tokens route as the law {routing.law} of a plug-in has it"


def _archetype(scenario: Scenario) -> str:
    routing, target = scenario.config.routing, scenario.config.model
    archetype, overlap, layer_sd = archetype_of(routing, target)
    like = routing.archetype or target.name
    spread = f", {layer_sd:g} of deviation over layers" if layer_sd else ""
    return (
        f"tokens pick experts as drawn from the archetype of {like}: consecutive ones share "
        f"{overlap:.0%} of theirs{spread}; popularity common to all requests, deviation "
        f"{archetype.popularity_sd:g} of the scores, is the least known figure"
    )


def _overlap(scenario: Scenario) -> str:
    routing, target = scenario.config.routing, scenario.config.model
    calibrated = scenario.engine.routing_within_request
    if routing.within_request is None and calibrated is not None:
        across = routing.across_requests or scenario.engine.routing_across_requests or 1.0
        return (
            f"tokens share experts as calibrated with engine profile {scenario.engine.title} "
            f"(exponent {calibrated:g} within a request, {across:g} across requests)"
        )
    if routing.within_request is None:
        measured = measured_overlap(target.name)
        if measured is None:
            return (
                f"tokens route independently: no overlap was measured on {target.title} "
                f"(an upper bound of the experts read)"
            )
        return (
            f"tokens of one request share experts as measured on {target.title} "
            f"(exponent {measured.value:g}); requests route independently of each other"
        )
    return (
        f"routing law {routing.law}: exponent {routing.within_request or 1:g} within a request, "
        f"{routing.across_requests or 1:g} across requests"
    )


def placement_assumptions(scenario: Scenario) -> list[str]:
    """Say where experts lie, and what of it counts."""
    parallelism, moe = scenario.parallelism, scenario.config.model.moe
    if moe is None or parallelism.expert == 1:
        return []
    if scenario.config.experts.drawn:
        return _placed(scenario)
    found = [
        f"experts are spread over {parallelism.expert} GPUs, each on one; all are equally "
        f"popular, and a step waits for the GPU that chance loads most"
    ]
    if parallelism.redundant:
        found.insert(
            0,
            f"{parallelism.redundant} replicas of experts even out what is popular: all "
            f"{moe.experts + parallelism.redundant} slots of a layer are equally busy",
        )
    return found


def _placed(scenario: Scenario) -> list[str]:
    experts, ranks = scenario.config.experts, scenario.parallelism.expert
    names = {
        CONTIGUOUS: "in blocks",
        "round_robin": "in turn",
        LOAD_AWARE: f"by load, with {experts.redundant} replicas",
    }
    how = names.get(experts.placement, f"as in {experts.placement}")
    found = [
        f"experts of a layer lie on {ranks} ranks {how}; loads are drawn for every layer and step, "
        f"and a layer waits for its slowest rank"
    ]
    if experts.placement != LOAD_AWARE:
        return found
    if experts.rebalance_period_s is None:
        found.append("the loads that experts are placed by are known beforehand, from like traffic")
    else:
        found.append(
            f"experts are placed anew every {experts.rebalance_period_s:g} s of busy time, by what "
            f"was seen since; no step runs while weights move, which have the links to themselves"
        )
    return found
