"""One row of the table: a deployment that holds the target, and all that is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        The highest rate of the same GPUs without speculation; None where it has none.
    gain, headroom
        As of the `Offer`.
    """

    design: Design
    found: Assessment
    limit: RateLimit
    twin: RateLimit | None
    gain: Gain | None
    headroom: Headroom

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


def best_row(bench: Bench, winner: Design, replicas: int, designs: Sequence[Design]) -> Search[Row]:
    """Return the row of a kind of GPU: of the deployments with the fewest, the one most to spare.

    Parameters
    ----------
    bench
        Where deployments run.
    winner, replicas
        The design that holds the target with the fewest GPUs, and its replicas.
    designs
        All of this kind.
    """
    design, limit = yield from most_to_spare(bench, winner, replicas, designs)
    return (yield from _row(bench, design, limit, by_deployment(designs)))


def row_of(bench: Bench, design: Design, replicas: int, designs: Sequence[Design]) -> Search[Row]:
    """Return the row of a deployment as it is."""
    deployment = design.with_replicas(replicas)
    first = max(bench.question.target_rate, replicas * design.screening.likely_rate)
    limit = yield from highest_rate(bench, deployment, first)
    return (yield from _row(bench, design, limit, by_deployment(designs)))


def _row(
    bench: Bench,
    design: Design,
    limit: RateLimit,
    screened: Mapping[Deployment, Screening],
) -> Search[Row]:
    found = yield from assess(bench, limit.deployment, bench.question.target_rate)
    compared: Gain | None = None
    twin: RateLimit | None = None
    if limit.deployment.speculates:
        plain = screened.get(design.deployment.without_speculation())
        each = plain.likely_rate if plain is not None else 0.0
        likely = each * limit.deployment.replicas or limit.rate.value
        compared, twin = yield from gain(bench, limit, likely)
    left = yield from headroom(bench, limit)
    return Row(design, found, limit, twin, compared, left)


def by_deployment(designs: Sequence[Design]) -> dict[Deployment, Screening]:
    """Return what deployments of one replica can do in closed form."""
    return {design.deployment: design.screening for design in designs}
