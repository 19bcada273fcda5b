"""The highest rate at which a deployment holds the objectives, by bisection on the rate.

All rates see the same requests of a replication in quicker or slower succession, so that attainment
falls with the rate but for chance. Every replication is bisected by itself: the mean of their
highest rates is the answer, their spread gives its interval, and two deployments are compared
replication by replication.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.slo import SloConfig
from simulator.study.plan.bench import Bench
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.outcome import Outcome
from simulator.study.plan.runs import Search, simulations
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

REPLICATIONS = 3
"""Replications that are bisected. Assumed: the fewest that give an interval of some use."""

STRIDE, LONGEST_STRIDE = 1.15, 2.0
"""Ratio of the first rate to the second while none is known to hold, or none to fail; it is squared
from one to the next, up to the longest. Assumed: the closed form is about as far off."""

WIDEST = 32.0
"""How far from the first rate the search goes, as a ratio. Assumed."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The highest rate of a deployment.

    Parameters
    ----------
    deployment
        Whose.
    rates
        By replication the highest rate that it held, requests/s; 0 where it held none.
    held, beyond
        What was seen at these rates, and at the lowest that did not hold, of every replication that
        has such.
    """

    deployment: Deployment
    rates: tuple[float, ...]
    held: tuple[Outcome, ...]
    beyond: tuple[Outcome, ...]

    @property
    def rate(self) -> Interval:
        """The mean highest rate, requests/s, with its interval over replications."""
        found = mean_interval(self.rates)
        return Interval(found.value, None if found.low is None else max(0.0, found.low), found.high)


@dataclass(slots=True)
class _Bisection:
    """The highest rate of one replication, between a rate that holds and one that does not."""

    rate: float
    tolerance: float
    low: float = 0.0
    high: float = math.inf
    held: Outcome | None = None
    beyond: Outcome | None = None
    _stride: float = STRIDE
    _first: float = 0.0

    def __post_init__(self) -> None:
        self._first = self.rate

    @property
    def done(self) -> bool:
        """Whether the rate is known well enough, or lies too far off."""
        near = self._first / WIDEST <= self.rate <= self._first * WIDEST
        return not near or (self.low > 0.0 and self.high <= self.low * (1.0 + self.tolerance))

    def learn(self, outcome: Outcome, *, holds: bool) -> None:
        """Take in what was seen at `rate`, and choose the next."""
        if holds:
            self.low, self.held = self.rate, outcome
        else:
            self.high, self.beyond = self.rate, outcome
        if self.low and self.high < math.inf:
            self.rate = math.sqrt(self.low * self.high)
            return
        self.rate = self.low * self._stride if self.low else self.high / self._stride
        self._stride = min(self._stride**2, LONGEST_STRIDE)


def highest_rate(bench: Bench, deployment: Deployment, first: float) -> Search[RateLimit]:
    """Search the highest rate at which a deployment holds the objectives.

    Parameters
    ----------
    bench, deployment
        What runs, and where.
    first
        The rate to start with, requests/s.
    """
    effort, objectives = bench.question.effort, list(bench.question.objectives.values())
    count = min(REPLICATIONS, effort.replications)
    searches = [_Bisection(first, effort.rate_tolerance) for _ in range(count)]
    while open_ := [number for number, one in enumerate(searches) if not one.done]:
        jobs = [bench.simulation(deployment, searches[number].rate, number) for number in open_]
        outcomes = yield from simulations(jobs)
        for number, outcome in zip(open_, outcomes, strict=True):
            searches[number].learn(outcome, holds=_holds(outcome, objectives))
    return RateLimit(
        deployment,
        rates=tuple(one.low for one in searches),
        held=tuple(one.held for one in searches if one.held is not None),
        beyond=tuple(one.beyond for one in searches if one.beyond is not None),
    )


def _holds(outcome: Outcome, objectives: Sequence[SloConfig]) -> bool:
    return all(
        seen.attainment >= slo.share for seen, slo in zip(outcome.classes, objectives, strict=True)
    )


def rate_ratio(limit: RateLimit, other: RateLimit, tolerance: float) -> Interval | None:
    """Return the ratio of two highest rates with its interval, paired by replication.

    None where one of them holds no rate.

    Parameters
    ----------
    limit, other
        The two.
    tolerance
        How exactly each was searched, relative. The interval is wider by what that leaves open:
        replications that end at the same rates would seem to leave nothing.
    """
    found = paired_ratio(limit.rates, other.rates)
    if found is None or found.low is None or found.high is None:
        return found
    return Interval(found.value, found.low / (1.0 + tolerance), found.high * (1.0 + tolerance))
