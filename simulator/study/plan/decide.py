"""Does a deployment hold the objectives at a load? Replications are added until that is clear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from simulator.study.plan.bench import Bench
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.outcome import ClassSeen, Outcome
from simulator.study.plan.runs import Search, simulations
from simulator.trace.statistics import CONFIDENCE, Interval, mean_interval

CLEAR_MISS = 0.1
"""How far below the required share one replication is a clear miss. Assumed: replications of a
load that can be held differ by far less."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the replications so far say of a deployment at a load.

    Parameters
    ----------
    deployment, rate
        What ran, at how many requests/s.
    outcomes
        Of the replications.
    required
        Share of each class that must meet its objective.
    """

    deployment: Deployment
    rate: float
    outcomes: tuple[Outcome, ...]
    required: tuple[float, ...]

    @property
    def attainment(self) -> tuple[Interval, ...]:
        """Share of each class that meets its objective."""
        by_class = zip(*(outcome.classes for outcome in self.outcomes), strict=True)
        return tuple(attainment_interval(seen) for seen in by_class)

    @property
    def holds(self) -> bool:
        """Whether the estimates say that it holds all objectives."""
        return all(
            found.value >= share
            for found, share in zip(self.attainment, self.required, strict=True)
        )

    @property
    def clear(self) -> bool:
        """Whether no more replications are needed to tell."""
        pairs = list(zip(self.attainment, self.required, strict=True))
        if any(found.value < share - CLEAR_MISS for found, share in pairs):
            return True
        if any(found.high is not None and found.high < share for found, share in pairs):
            return True
        return all(found.low is not None and found.low >= share for found, share in pairs)


def assess(
    bench: Bench, deployment: Deployment, rate: float, *, least: int = 1
) -> Search[Assessment]:
    """Simulate replications until the attainment of every class is clear of what is required.

    At the cap of replications the estimates decide. Looking after each replication makes it
    likelier than 5 % that one of the looks is wrong; nothing corrects for that, since the first row
    is confirmed with fresh seeds, all of which run.

    Parameters
    ----------
    bench, deployment, rate
        What runs, and at which load.
    least
        Replications at least.
    """
    most = bench.question.effort.replications
    required = tuple(slo.share for slo in bench.question.objectives.values())
    found = Assessment(deployment, rate, (), required)
    while len(found.outcomes) < most and not (len(found.outcomes) >= least and found.clear):
        first = len(found.outcomes)
        more = range(first, min(most, max(least, first + 1)))
        jobs = [bench.simulation(deployment, rate, number) for number in more]
        outcomes = yield from simulations(jobs)
        found = Assessment(deployment, rate, (*found.outcomes, *outcomes), required)
    return found


def glance(bench: Bench, deployment: Deployment, rate: float) -> Search[Assessment]:
    """Look at the beginning of a run, while the deployment fills.

    Load is still to come, so that whoever clearly misses an objective here misses it later on.
    """
    required = tuple(slo.share for slo in bench.question.objectives.values())
    outcomes = yield from simulations([bench.beginning(deployment, rate)])
    return Assessment(deployment, rate, tuple(outcomes), required)


def attainment_interval(seen: Sequence[ClassSeen]) -> Interval:
    """Return the mean share of a class that met its objective, with its 95 % interval.

    The wider of two: Student's t over replications, which sees that requests of one replication
    share its bursts, and Wilson's over requests, which sees that few of them tell little even where
    all replications agree. One replication has no interval.

    Parameters
    ----------
    seen
        What the class saw in each replication.
    """
    mean = mean_interval([one.attainment for one in seen])
    if mean.low is None or mean.high is None:
        return mean
    low, high = wilson(sum(one.attained for one in seen), sum(one.requests for one in seen))
    return Interval(mean.value, max(0.0, min(mean.low, low)), min(1.0, max(mean.high, high)))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share at the level `CONFIDENCE`.

    Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Unlike the normal interval it is right near 0 and 1.

    Examples
    --------
    >>> low, high = wilson(1000, 1000)
    >>> round(low, 4), high
    (0.9962, 1.0)
    """
    if not trials:
        return 0.0, 1.0
    share, z = successes / trials, float(ndtri(0.5 + CONFIDENCE / 2))
    weight = z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
