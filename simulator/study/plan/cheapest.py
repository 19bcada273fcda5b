"""The fewest GPUs of one kind that hold the objectives: branch and bound over deployments.

Within a kind of GPU, the fewest are the cheapest, whatever the price. The deployment that will
likely need the fewest comes first, and its number of replicas is found by bisection: what holds
with some replicas is taken to hold with more, since all of them see the same requests; where chance
has it otherwise, fresh seeds have the last word (`confirm`). Every other deployment
is then challenged once, with the most replicas that would still be fewer GPUs, at first by a glance
at the beginning of a run. If it fails there, no number of its replicas can win; if it holds, it is
the one to beat. One whose optimistic bound (`capacity`) cannot win is not simulated at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.study.plan.bench import Bench
from simulator.study.plan.decide import Assessment, assess, glance
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.runs import Search
from simulator.study.plan.screening import Screening

GIVE_UP = 4
"""Times the likely replicas beyond which a deployment is given up. Assumed: with so little load on
each, requests are nearly alone, and more replicas change nothing."""


@dataclass(frozen=True, slots=True)
class Design:
    """A deployment whose replicas are still open.

    Parameters
    ----------
    deployment
        With one replica, or one unit of a split.
    screening
        What it can do in closed form.
    """

    deployment: Deployment
    screening: Screening

    def fewest_replicas(self, rate: float) -> int:
        """Return the replicas below which the rate cannot be served, by the optimistic bound."""
        return _replicas(rate, self.screening.bound_rate)

    def likely_replicas(self, rate: float) -> int:
        """Return the replicas that will likely serve the rate."""
        return _replicas(rate, self.screening.likely_rate)

    def likely_gpus(self, rate: float) -> int:
        """Return the GPUs of as many replicas."""
        return self.likely_replicas(rate) * self.deployment.unit_gpus

    def with_replicas(self, replicas: int) -> Deployment:
        """Return the deployment with so many replicas."""
        return self.deployment.with_replicas(replicas)


def _replicas(rate: float, each: float) -> int:
    """Return the replicas that serve a rate at so much each; beyond all limits if that is none.

    Examples
    --------
    >>> _replicas(10.0, 2.5), _replicas(10.0, 3.0), _replicas(10.0, 0.0) > 1e9
    (4, 4, True)
    """
    return max(1, math.ceil(rate / max(each, 1e-9) - 1e-9))


@dataclass(slots=True)
class Hunt:
    """What a search over the deployments of one kind of GPU found.

    Parameters
    ----------
    best, design
        The assessment with the fewest GPUs that holds, and of which design it is; None where none
        holds.
    held
        Other deployments that hold, each the best until a cheaper one was found.
    failed
        Deployments that do not hold, as they were tried.
    pruned
        Designs that were not simulated, since their bound cannot win.
    """

    best: Assessment | None = None
    design: Design | None = None
    held: list[Assessment] = field(default_factory=list)
    failed: list[Assessment] = field(default_factory=list)
    pruned: list[Design] = field(default_factory=list)

    @property
    def evaluated(self) -> int:
        """Designs that were simulated."""
        tried = (*self.held, *self.failed, *([self.best] if self.best else []))
        return len({one.deployment.with_replicas(1) for one in tried})


def cheapest(bench: Bench, designs: Sequence[Design], max_gpus: int) -> Search[Hunt]:
    """Find the fewest GPUs that hold the objectives at the target rate.

    Parameters
    ----------
    bench
        Where deployments are tried.
    designs
        All of one kind of GPU, none of them hopeless.
    max_gpus
        Most GPUs that may be used.
    """
    hunt, rate = Hunt(), bench.question.target_rate
    for design in sorted(designs, key=lambda one: _order(one, rate)):
        unit = design.deployment.unit_gpus
        budget = max_gpus if hunt.best is None else hunt.best.deployment.gpus - 1
        fewest, likely = design.fewest_replicas(rate), design.likely_replicas(rate)
        most = min(budget // unit, GIVE_UP * likely)
        if most < fewest:
            hunt.pruned.append(design)
            continue
        if hunt.best is not None:
            seen = yield from glance(bench, design.with_replicas(most), rate)
            if seen.clear and not seen.holds:
                hunt.failed.append(seen)
                continue
        first = min(most, likely) if hunt.best is None else most
        yield from _fewest_that_hold(bench, design, (fewest, first, most), hunt)
    return hunt


def _order(design: Design, rate: float) -> tuple[int, float]:
    """Order designs: those that likely need the fewest GPUs first, with the most to spare."""
    gpus = design.likely_gpus(rate)
    return gpus, -design.screening.likely_rate / design.deployment.unit_gpus


def _fewest_that_hold(
    bench: Bench, design: Design, range_: tuple[int, int, int], hunt: Hunt
) -> Search[None]:
    """Bisect the replicas of a design between its bound and the most that may be; note the results.

    Parameters
    ----------
    bench, design
        What is tried, and where.
    range_
        The fewest replicas, those to start with, and the most.
    hunt
        Where results are noted.
    """
    fewest, replicas, most = range_
    fails = fewest - 1
    holds: int | None = None
    while holds is None or holds - fails > 1:
        found = yield from assess(bench, design.with_replicas(replicas), bench.question.target_rate)
        if found.holds:
            holds = replicas
            if hunt.best is not None:
                hunt.held.append(hunt.best)
            hunt.best, hunt.design = found, design
        else:
            fails = replicas
            hunt.failed.append(found)
        if holds is None and replicas == most:
            return
        replicas = _next_replicas(fails, holds, most)


def _next_replicas(fails: int, holds: int | None, most: int) -> int:
    """Return how many replicas to try next: half way, or half as many more while none hold.

    Examples
    --------
    >>> _next_replicas(4, None, 64), _next_replicas(4, 8, 64)
    (6, 6)
    """
    if holds is None:
        return min(most, fails + max(1, fails // 2))
    return (fails + holds) // 2
