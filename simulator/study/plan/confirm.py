"""The last word on the first row: long runs with seeds that the search has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.study.plan.bench import Bench
from simulator.study.plan.cheapest import Design
from simulator.study.plan.cost import Cost, affordable_gpus, cost_of
from simulator.study.plan.decide import Assessment
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.horizon import Horizon
from simulator.study.plan.objectives import requests_of
from simulator.study.plan.question import Question
from simulator.study.plan.result import Check
from simulator.study.plan.runs import Search, simulations

LONGER = 2.0
"""Length of the measured stretch, in those of the search."""


def fresh_seeds(question: Question) -> tuple[int, ...]:
    """Return seeds whose draws the search has not seen."""
    first = question.config.run.seed + 1
    return tuple(range(first, first + question.effort.confirmations))


def lengthened(horizon: Horizon) -> Horizon:
    """Return the horizon of a confirmation: the same warm-up, and `LONGER` is measured."""
    warmup_s = horizon.warmup_fraction * horizon.span_s
    span_s = warmup_s + LONGER * (horizon.span_s - warmup_s)
    return Horizon(span_s, warmup_s / span_s)


def check(bench: Bench, deployment: Deployment) -> Search[Check]:
    """Run a deployment at the target rate with fresh seeds, and see whether it holds."""
    question = bench.question
    long = bench.with_horizon(lengthened(bench.horizon))
    jobs = [
        long.simulation(deployment, question.target_rate, 0, seed) for seed in fresh_seeds(question)
    ]
    outcomes = yield from simulations(jobs)
    required = tuple(slo.share for slo in question.objectives.values())
    found = Assessment(deployment, question.target_rate, tuple(outcomes), required)
    return Check(
        deployment=deployment,
        meets=found.holds,
        attainment=dict(zip(question.objectives, found.attainment, strict=True)),
        reason="" if found.holds else shortfall(question, found),
    )


def shortfall(question: Question, found: Assessment) -> str:
    """Say which class misses its share by most, and which bound it exceeds."""
    name, share, required = max(
        zip(question.objectives, found.attainment, found.required, strict=True),
        key=lambda row: row[2] - row[1].value,
    )
    index = list(question.objectives).index(name)
    missed = {
        bound: sum(getattr(outcome.classes[index].missed, bound) for outcome in found.outcomes)
        for bound in question.objectives[name].bounds
    }
    worst = max(missed, key=lambda bound: missed[bound]) if any(missed.values()) else ""
    late = f"; most of the others exceed their {worst.removesuffix('_s').upper()}" if worst else ""
    found_share = f"{100 * share.value:.1f} % of {requests_of(name)} are in time"
    return f"{found_share} where {100 * required:g} % must be{late}"


def next_cheaper(
    question: Question, designs: Sequence[Design], top: Deployment
) -> tuple[Deployment | None, Deployment | None]:
    """Return the deployment that costs least less than the top one, and the strongest cheaper one.

    Of every design the most replicas count that are cheaper; of equal costs the one that likely
    serves most.
    """
    limit = cost_of(question, top)
    found: list[tuple[Cost, float, Deployment]] = []
    for design in designs:
        if cost_of(question, design.deployment).unknown != limit.unknown:
            continue  # nobody knows which of the two is cheaper
        replicas = _most_below(question, design, limit)
        if replicas:
            deployment = design.with_replicas(replicas)
            likely = replicas * design.screening.likely_rate
            found.append((cost_of(question, deployment), likely, deployment))
    if not found:
        return None, None
    literal = max(found, key=lambda row: row[:2])[2]
    strongest = max(found, key=lambda row: row[1])[2]
    return literal, strongest if strongest != literal else None


def _most_below(question: Question, design: Design, limit: Cost) -> int:
    """Return the most replicas of a design that cost less; 0 if even one costs as much."""
    most_gpus = affordable_gpus(question, design.deployment.gpu)
    replicas = most_gpus // design.deployment.unit_gpus
    low, high = 0, replicas + 1
    while high - low > 1:
        middle = (low + high) // 2
        cheaper = cost_of(question, replace(design.deployment, replicas=middle)) < limit
        low, high = (middle, high) if cheaper else (low, middle)
    return low
