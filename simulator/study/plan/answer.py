"""From what a search found to its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator.study.plan.bench import Bench
from simulator.study.plan.cheapest import Design, Hunt
from simulator.study.plan.cost import cost_of
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.offers import offer_of
from simulator.study.plan.points import operating_points
from simulator.study.plan.premises import premises
from simulator.study.plan.question import Question
from simulator.study.plan.result import (
    Check,
    Confirmation,
    Counts,
    Crossover,
    NearestMiss,
    Offer,
    Plan,
    Rejected,
)
from simulator.study.plan.rows import Row
from simulator.study.plan.runs import Runs


@dataclass(slots=True)
class Findings:
    """What a search has found so far.

    Parameters
    ----------
    designs
        Deployments that may hold the objectives.
    rejected
        Those that were screened out.
    hunts
        The search over each kind of GPU.
    rows
        Rows that hold the target, by cost.
    refuted
        First rows that fresh seeds refuted.
    confirmation
        Of the first row; None where none was confirmed.
    crossover
        Where speculation stops paying; None where that was not looked for.
    miss
        What comes closest where nothing holds.
    """

    designs: list[Design] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    hunts: list[Hunt] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refuted: list[Check] = field(default_factory=list)
    confirmation: Confirmation | None = None
    crossover: Crossover | None = None
    miss: NearestMiss | None = None

    @property
    def refuted_deployments(self) -> set[Deployment]:
        """What fresh seeds refuted: no offer, whatever the search saw of it."""
        return {one.deployment for one in self.refuted}

    def of_kind(self, gpu: str) -> list[Design]:
        """Return the designs of a kind of GPU."""
        return [design for design in self.designs if design.deployment.gpu == gpu]


def answer(bench: Bench, found: Findings, runs: Runs) -> Plan:
    """Return the plan."""
    seen = [(row.deployment, one) for row in found.rows for one in row.seen]
    return Plan(
        question=bench.question,
        run_overrides=_run_overrides(bench),
        offers=_offers(bench.question, found),
        confirmation=found.confirmation,
        operating_points=operating_points(found.designs, seen),
        crossover=found.crossover,
        rejected=tuple(found.rejected),
        nearest_miss=found.miss,
        counts=_counts(found, runs),
        assumptions=premises(bench, found.rows),
    )


def _offers(question: Question, found: Findings) -> tuple[Offer, ...]:
    """Return the rows that hold, then others that hold, then the best of those that do not."""
    offers = [row.offer(question) for row in found.rows]
    shown = {offer.deployment for offer in offers}
    refuted = found.refuted_deployments
    for hunt in found.hunts:
        for held in hunt.held:
            unit = held.deployment.with_replicas(1)
            if held.deployment in refuted:
                continue
            if all(one.with_replicas(1) != unit for one in shown):
                offers.append(offer_of(question, held))
                shown.add(held.deployment)
    offers.sort(key=lambda offer: cost_of(question, offer.deployment))
    missed = [
        max(hunt.failed, key=lambda one: min(share.value for share in one.attainment))
        for hunt in found.hunts
        if hunt.best is None and hunt.failed
    ]
    return (*offers, *(offer_of(question, one) for one in missed))


def _counts(found: Findings, runs: Runs) -> Counts:
    pruned = sum(len(hunt.pruned) for hunt in found.hunts)
    return Counts(
        candidates=len(found.designs) + len(found.rejected),
        screened=len(found.rejected),
        pruned=pruned,
        evaluated=len(found.designs) - pruned,
        simulated=runs.simulated,
        cached=runs.cached,
    )


def _run_overrides(bench: Bench) -> tuple[str, ...]:
    """Return the settings that run a deployment as the search did."""
    workload, horizon = bench.question.config.workload, bench.horizon
    given = (("swing", workload.swing), ("diurnal", workload.diurnal))
    swings: Iterable[str] = (f"workload.{key}=null" for key, value in given if value is not None)
    return (
        *swings,
        f"run.requests={horizon.requests(bench.question.target_rate)}",
        f"run.warmup_fraction={horizon.warmup_fraction:.6g}",
        f"run.replications={bench.question.effort.replications}",
    )
