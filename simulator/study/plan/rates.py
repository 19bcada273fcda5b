"""The highest rate at which a deployment holds the objectives, by bisection on the rate.

All rates see the same requests in quicker or slower succession, so that attainment falls with the
rate but for chance. Every replication has its own highest rate, between the two rates around it;
their spread gives the interval, and the ratio of two deployments is taken replication by
replication.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.study.plan.bench import Bench
from simulator.study.plan.decide import Assessment, assess
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.runs import Search
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

REPLICATIONS = 3
"""Replications at every rate. Assumed: the fewest that give an interval of some use."""

STRIDE = 1.15
"""Ratio of the first rate to the second while none is known to hold, or none to fail; squared from
one to the next. Assumed: the closed form is about as far off."""

WIDEST = 20.0
"""How far from the first rate the search goes, as a ratio. Assumed: beyond, it holds at no rate."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The highest rate of a deployment.

    Parameters
    ----------
    deployment
        Whose.
    held, failed
        Assessments at the rates that it held and at those that it did not, by rising rate.
    """

    deployment: Deployment
    held: tuple[Assessment, ...]
    failed: tuple[Assessment, ...]

    @property
    def highest(self) -> Assessment | None:
        """The assessment at the highest rate that it held; None where it held none."""
        return self.held[-1] if self.held else None

    @property
    def beyond(self) -> Assessment | None:
        """The assessment at the lowest rate that it did not hold."""
        return self.failed[0] if self.failed else None

    def by_replication(self) -> list[float]:
        """Return the highest rate of each replication, requests/s."""
        rates = sorted((*self.held, *self.failed), key=lambda found: found.rate)
        count = min((len(found.outcomes) for found in rates), default=0)
        return [_crossing(rates, number) for number in range(count)]

    @property
    def rate(self) -> Interval:
        """Highest rate that held, requests/s, with the interval of those of the replications."""
        if self.highest is None:
            return Interval(0.0, None, None)
        value, spread = self.highest.rate, mean_interval(self.by_replication())
        if spread.low is None or spread.high is None:
            return Interval(value, None, None)
        return Interval(value, min(value, spread.low), max(value, spread.high))


def highest_rate(bench: Bench, deployment: Deployment, first: float) -> Search[RateLimit]:
    """Search the highest rate at which a deployment holds the objectives.

    Parameters
    ----------
    bench, deployment
        What runs, and where.
    first
        The rate to start with, requests/s.
    """
    tolerance = 1.0 + bench.question.effort.rate_tolerance
    least = min(REPLICATIONS, bench.question.effort.replications)
    held: list[Assessment] = []
    failed: list[Assessment] = []
    rate, stride = first, STRIDE
    while first / WIDEST < rate < first * WIDEST:
        found = yield from assess(bench, deployment, rate, least=least)
        (held if found.holds else failed).append(found)
        low = max((one.rate for one in held), default=0.0)
        high = min((one.rate for one in failed), default=math.inf)
        if low and high < math.inf:
            if high <= low * tolerance:
                break
            rate = math.sqrt(low * high)
        else:
            rate = low * stride if low else high / stride
            stride *= stride
    return RateLimit(deployment, _rising(held), _rising(failed))


def _rising(found: Sequence[Assessment]) -> tuple[Assessment, ...]:
    return tuple(sorted(found, key=lambda one: one.rate))


def _crossing(found: Sequence[Assessment], replication: int) -> float:
    """Return the rate at which one replication stops holding, between those that were tried.

    What counts is the class that misses its share by most. Between two rates it is taken to change
    along a straight line; a replication that holds the highest rate has that one, and one that does
    not hold the lowest has that one, too.
    """
    rates = [one.rate for one in found]
    spare = [
        min(
            seen.attainment - share
            for seen, share in zip(one.outcomes[replication].classes, one.required, strict=True)
        )
        for one in found
    ]
    fails = next((at for at, left in enumerate(spare) if left < 0.0), None)
    if fails is None:
        return rates[-1]
    if fails == 0:
        return rates[0]
    pair = slice(fails - 1, fails + 1)
    return float(np.interp(0.0, spare[pair][::-1], rates[pair][::-1]))


def rate_ratio(limit: RateLimit, other: RateLimit) -> Interval | None:
    """Return the ratio of two highest rates with its interval, paired by replication.

    None where one of them holds no rate.
    """
    if limit.highest is None or other.highest is None:
        return None
    ones, others = limit.by_replication(), other.by_replication()
    count = min(len(ones), len(others))
    return paired_ratio(ones[:count], others[:count])
