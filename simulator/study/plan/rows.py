"""One row of the table: a deployment that holds the target, and all that is said of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from simulator.study.plan.bench import Bench
from simulator.study.plan.cheapest import Design
from simulator.study.plan.decide import Assessment, assess
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.headroom import headroom
from simulator.study.plan.offers import offer_of
from simulator.study.plan.outcome import Outcome
from simulator.study.plan.question import Question
from simulator.study.plan.rates import RateLimit, highest_rate
from simulator.study.plan.result import Gain, Headroom, Offer
from simulator.study.plan.runs import Search
from simulator.study.plan.screening import Screening
from simulator.study.plan.spare import most_to_spare
from simulator.study.plan.twins import gain


@dataclass(frozen=True, slots=True)
class Row:
    """A deployment that holds the target, with what was found out about it.

    Parameters
    ----------
    design
        What it is, whatever the replicas.
    found
        The deployment at the target rate.
    limit
        Its highest rate.
    twin
        The highest rate of the same GPUs without speculation; None where it was not looked for.
    gain, headroom
        As of the `Offer`.
    """

    design: Design
    found: Assessment
    limit: RateLimit
    twin: RateLimit | None = None
    gain: Gain | None = None
    headroom: Headroom | None = None

    @property
    def deployment(self) -> Deployment:
        """What is rented."""
        return self.found.deployment

    @property
    def seen(self) -> tuple[Outcome, ...]:
        """What was seen of it at the target rate and at its highest, a replication each."""
        return (self.found.outcomes[0], *self.limit.held[:1])

    def offer(self, question: Question) -> Offer:
        """Return it as a row of the table."""
        return offer_of(
            question,
            self.found,
            design=self.design,
            limit=self.limit,
            gain=self.gain,
            headroom=self.headroom,
        )


def row_of(bench: Bench, design: Design, replicas: int) -> Search[Row]:
    """Return the row of a deployment: how it does at the target rate, and its highest rate."""
    target = bench.question.target_rate
    deployment = design.with_replicas(replicas)
    found = yield from assess(bench, deployment, target)
    first = max(target, replicas * design.screening.likely_rate)
    limit = yield from highest_rate(bench, deployment, first)
    return Row(design, found, limit)


def with_most_to_spare(bench: Bench, row: Row, designs: Sequence[Design]) -> Search[Row]:
    """Return the row of the deployment that holds the highest rate on as many GPUs.

    Parameters
    ----------
    bench
        Where deployments run.
    row
        The one to beat.
    designs
        All of its kind of GPU.
    """
    design, limit = yield from most_to_spare(bench, row.design, row.limit, designs)
    if design == row.design:
        return row
    found = yield from assess(bench, limit.deployment, bench.question.target_rate)
    return Row(design, found, limit) if found.holds else row


def completed(
    bench: Bench, row: Row, designs: Sequence[Design], refuted: Collection[Deployment]
) -> Search[Row]:
    """Return a row with its gain over no speculation and its headroom.

    Parameters
    ----------
    bench, row
        Where deployments run, and the row.
    designs
        All of its kind of GPU.
    refuted
        Deployments that fresh seeds have refuted.
    """
    compared: Gain | None = None
    twin: RateLimit | None = None
    if row.deployment.speculates:
        plain = by_deployment(designs).get(row.design.deployment.without_speculation())
        each = plain.likely_rate if plain is not None else 0.0
        likely = each * row.deployment.replicas or row.limit.rate.value
        compared, twin = yield from gain(bench, row.limit, likely)
    left = yield from headroom(bench, row.limit, refuted)
    return replace(row, twin=twin, gain=compared, headroom=left)


def by_deployment(designs: Sequence[Design]) -> dict[Deployment, Screening]:
    """Return what deployments of one replica can do in closed form."""
    return {design.deployment: design.screening for design in designs}
