"""Of the deployments that cost the same, the one with the most to spare: the highest rate.

The deployment with the fewest GPUs is rarely alone: draft lengths and ways to spread a replica
share its price. Those that may hold a higher rate than it does are challenged just above that rate,
once each, the likeliest first.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.study.plan.bench import Bench
from simulator.study.plan.cheapest import Design
from simulator.study.plan.decide import assess
from simulator.study.plan.rates import RateLimit, highest_rate
from simulator.study.plan.runs import Search

CHALLENGERS = 4
"""Deployments of equal price that are challenged at most. Assumed: the closed form puts the best
among the first few."""


def most_to_spare(
    bench: Bench, winner: Design, limit: RateLimit, designs: Sequence[Design]
) -> Search[tuple[Design, RateLimit]]:
    """Find the deployment with the highest rate among those with as many GPUs.

    Parameters
    ----------
    bench
        Where deployments run.
    winner, limit
        The design to beat, and the highest rate of its deployment.
    designs
        All of its kind of GPU.

    Returns
    -------
    tuple of Design and RateLimit
        Which it is, and the highest rate that it holds.
    """
    gpus, best = limit.deployment.gpus, winner
    step = 1.0 + bench.question.effort.rate_tolerance
    equals = [one for one in designs if one != winner and gpus % one.deployment.unit_gpus == 0]
    equals.sort(key=lambda one: -_likely(one, gpus))
    for design in equals[:CHALLENGERS]:
        units = gpus // design.deployment.unit_gpus
        rate = limit.rate.value * step
        if units * design.screening.bound_rate < rate:
            continue
        found = yield from assess(bench, design.with_replicas(units), rate)
        if not found.holds:
            continue
        other = yield from highest_rate(bench, found.deployment, rate)
        if other.rate.value > limit.rate.value:
            best, limit = design, other
    return best, limit


def _likely(design: Design, gpus: int) -> float:
    return gpus / design.deployment.unit_gpus * design.screening.likely_rate
