"""A plan as ``plan.json``: the verdict, every offer with its evidence, what lies behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from simulator.study.plan.deployment import Deployment
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.served import reproduces
from simulator.study.plan.result import Check, Crossover, Offer, Plan
from simulator.trace.json_file import Json
from simulator.trace.statistics import Interval, value_of

_EXAMPLES = 3
"""Deployments named of each kind of those that were ruled out; the table holds all."""


def plan_json(plan: Plan, verdict: str, served: Mapping[Deployment, Mapping[str, Export]]) -> Json:
    """Return a plan in JSON types.

    ``deployments`` are the offers in their order; ``max_rate`` (requests/s) and ``speedup`` (of
    the highest rate, over the same GPUs without speculation) are numbers, their 95 % intervals
    stand beside them. Times are in seconds, rates in requests/s, and what is not known is null.

    Parameters
    ----------
    plan
        The plan.
    verdict
        What it comes to, in words.
    served
        How deployments are started, by engine.
    """
    question = plan.question
    return {
        "verdict": verdict,
        "question": {
            "model": question.config.model.title,
            "workload": question.config.workload.preset or question.config.workload.kind,
            "overrides": list(question.overrides),
            "target_rate_per_s": question.target_rate,
            "objectives": {name: asdict(slo) for name, slo in question.objectives.items()},
            "candidates": asdict(question.candidates),
            "limits": asdict(question.limits),
            "usd_per_gpu_hour": dict(question.usd_per_gpu_hour),
            "peak_to_mean": question.peak[0],
        },
        "deployments": [
            _offer(plan, rank, offer, served.get(offer.deployment, {}))
            for rank, offer in enumerate(plan.offers, start=1)
        ],
        "confirmation": _confirmation(plan),
        "pareto": [
            asdict(point) | {"deployment": str(point.deployment), "gpu": point.deployment.gpu}
            for point in plan.operating_points
        ],
        "crossover": None if plan.crossover is None else _crossover(plan.crossover),
        "nearest_miss": _nearest_miss(plan),
        "rejected": rejections(plan),
        "counts": asdict(plan.counts),
        "assumptions": list(plan.assumptions),
    }


def _offer(plan: Plan, rank: int, offer: Offer, served: Mapping[str, Export]) -> Json:
    gain, rate = offer.gain, offer.max_rate_per_s
    ratio, tpot = (gain.max_rate, gain.tpot) if gain else (None, None)
    return {
        "rank": rank,
        "name": str(offer.deployment),
        **deployment_json(offer.deployment),
        "meets": offer.meets,
        "reason": offer.reason,
        "max_rate": value_of(rate),
        "max_rate_interval": _bounds(rate),
        "binding_constraint": offer.binding_constraint,
        "speedup": value_of(ratio),
        "speedup_interval": _bounds(ratio),
        "tpot_speedup": value_of(tpot),
        "tpot_speedup_interval": _bounds(tpot),
        "max_rate_without_speculation": _bounds(gain.twin_max_rate_per_s) if gain else None,
        "acceptance_length": offer.acceptance_length,
        "output_tokens_per_s": offer.output_tokens_per_s,
        "utilisation": offer.utilisation,
        "usd_per_hour": offer.usd_per_hour,
        "usd_per_million_tokens": offer.usd_per_million_tokens,
        "joules_per_token": offer.joules_per_token,
        "classes": [asdict(each) | {"meets": each.meets} for each in offer.classes],
        "headroom": None if offer.headroom is None else asdict(offer.headroom),
        "command": reproduces(plan, offer.deployment),
        "exports": {engine: asdict(export) for engine, export in served.items()},
    }


def deployment_json(deployment: Deployment) -> Json:
    """Return a deployment with the GPUs that it takes and the settings that make it."""
    return asdict(deployment) | {
        "gpus": deployment.gpus,
        "gpus_per_replica": deployment.unit_gpus,
        "overrides": list(deployment.overrides),
    }


def _confirmation(plan: Plan) -> Json | None:
    found = plan.confirmation
    if found is None:
        return None
    return {
        "seeds": list(found.seeds),
        "top": _check(found.top),
        "cheaper": _check(found.cheaper),
        "strongest": _check(found.strongest),
        "failed": [_check(check) for check in found.failed],
    }


def _check(check: Check | None) -> Json | None:
    if check is None:
        return None
    named = {"name": str(check.deployment), "deployment": deployment_json(check.deployment)}
    return asdict(check) | named


def _crossover(found: Crossover) -> Json:
    return {
        "deployment": str(found.deployment),
        "batch": found.batch,
        "largest_batch": found.largest_batch,
        "rate_per_s": found.rate_per_s,
        "pairs": [
            {"rate_per_s": rate, "tpot_speedup": asdict(ratio)} for rate, ratio in found.pairs
        ],
    }


def _nearest_miss(plan: Plan) -> Json | None:
    miss = plan.nearest_miss
    if miss is None:
        return None
    return {
        "name": str(miss.deployment),
        "deployment": deployment_json(miss.deployment),
        "attainment": dict(miss.attainment),
        "reason": miss.reason,
        "takes": list(miss.takes),
        "command": reproduces(plan, miss.deployment),
    }


def rejections(plan: Plan) -> list[Json]:
    """Count what was ruled out by its kind, the most first, each with some reasons as examples."""
    kinds = Counter(one.kind for one in plan.rejected)
    return [
        {"kind": kind, "deployments": count, "examples": _examples(plan, kind)}
        for kind, count in kinds.most_common()
    ]


def _examples(plan: Plan, kind: str) -> list[str]:
    reasons = dict.fromkeys(one.reason for one in plan.rejected if one.kind == kind)
    return list(reasons)[:_EXAMPLES]


def _bounds(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)
