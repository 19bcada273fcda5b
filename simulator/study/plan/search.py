"""The search behind a plan, from the question to the answer.

1. Every deployment of the space is priced in closed form, and ruled out where it cannot run or
   cannot hold the objectives even for one request (`screening`).
2. For each kind of GPU the fewest GPUs are found (`cheapest`), and the highest rate that they hold
   (`rates`).
3. The cheapest of all, of as many GPUs the one with most to spare (`spare`), is confirmed with
   fresh seeds; where they refute it, the next is. Then cheaper ones are refuted (`confirm`).
4. The first row is compared with its twin without speculation (`twins`), and its headroom is
   looked at. Where nothing holds, what comes closest is looked for (`nearest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from simulator.streams import Streams
from simulator.study.executors import Executor
from simulator.study.plan.bench import SCREENED_REQUESTS, Bench, steady
from simulator.study.plan.cheapest import Design, Hunt, cheapest
from simulator.study.plan.configure import architecture
from simulator.study.plan.confirm import check, fresh_seeds, next_cheaper
from simulator.study.plan.cost import affordable_gpus, cost_of
from simulator.study.plan.crossing import crossing_of
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.horizon import choose_horizon
from simulator.study.plan.nearest import nearest_rejected, nearest_screened, nearest_simulated
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
from simulator.study.plan.rows import Row, completed, row_of, with_most_to_spare
from simulator.study.plan.runs import Runs, screenings, together
from simulator.study.plan.space import deployments, scheduled
from simulator.study.plan.store import Store
from simulator.study.plan.traffic import observe
from simulator.workload.build import build_workload


@dataclass(slots=True)
class Found:
    """What the search has found so far.

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
    confirmation
        Of the first row; None where none was confirmed.
    """

    designs: list[Design] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    hunts: list[Hunt] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refuted: list[Check] = field(default_factory=list)
    confirmation: Confirmation | None = None

    def of_kind(self, gpu: str) -> list[Design]:
        """Return the designs of a kind of GPU."""
        return [design for design in self.designs if design.deployment.gpu == gpu]


def search(question: Question, executor: Executor, advance: Callable[[int], None]) -> Plan:
    """Find the cheapest deployments that hold the objectives at the target load.

    Parameters
    ----------
    question
        What is asked.
    executor
        Who runs simulations; entered by the caller.
    advance
        Called with 1 after each simulation or screening that ran.

    Raises
    ------
    SimulatorError
        If the question makes no sense.
    """
    effort = question.effort
    runs = Runs(executor, effort.workers, Store(effort.cache), advance)
    bench = bench_of(question)
    found = Found()
    _screen(bench, runs, found)
    _hunt(bench, runs, found)
    _confirm(bench, runs, found)
    crossover = _complete(bench, runs, found)
    miss = None if found.confirmation else _nearest(bench, runs, found)
    seen = [(row.deployment, one) for row in found.rows for one in row.seen]
    return Plan(
        question=question,
        run_overrides=_run_overrides(bench),
        offers=_offers(question, found),
        confirmation=found.confirmation,
        operating_points=operating_points(found.designs, seen),
        crossover=crossover,
        rejected=tuple(found.rejected),
        nearest_miss=miss,
        counts=_counts(found, runs),
        assumptions=premises(bench, found.rows),
    )


def bench_of(question: Question) -> Bench:
    """Return where deployments are tried: with runs as long as the traffic takes to fill one."""
    config = steady(question.config)
    traffic = observe(build_workload(config.workload, SCREENED_REQUESTS), Streams(config.run.seed))
    objectives = list(question.objectives.values())
    rate, requests = question.target_rate, question.effort.requests
    return Bench(question, choose_horizon(traffic, objectives, rate, requests))


def _screen(bench: Bench, runs: Runs, found: Found) -> None:
    """Price every deployment of the space, and set aside those that are out."""
    question, asked = bench.question, bench.question.candidates
    names = asked.models or (question.config.model.name,)
    models = {name: architecture(question, name) for name in names}
    seqs = asked.max_num_seqs or (question.config.scheduler.max_num_seqs,)
    fixed = list(deployments(asked, models, seqs))
    screened = _priced(bench, runs, fixed)
    pairs = [(design.deployment, design.screening) for design in screened]
    screened += _priced(bench, runs, list(scheduled(asked, pairs)))
    for design in screened:
        screening = design.screening
        if screening.reason:
            found.rejected.append(
                Rejected(
                    deployment=design.deployment,
                    reason=screening.reason,
                    kind=screening.kind,
                    shortfall=screening.shortfall,
                )
            )
        else:
            found.designs.append(design)


def _priced(bench: Bench, runs: Runs, deployments: Sequence[Deployment]) -> list[Design]:
    jobs = [bench.screening(deployment) for deployment in deployments]
    (priced,) = together([screenings(jobs)], runs)
    return [Design(*pair) for pair in zip(deployments, priced, strict=True)]


def _hunt(bench: Bench, runs: Runs, found: Found) -> None:
    """Find the best deployment of each kind of GPU, all kinds side by side."""
    question = bench.question
    kinds = [gpu for gpu in dict.fromkeys(question.candidates.gpus) if found.of_kind(gpu)]
    found.hunts = together(
        [cheapest(bench, found.of_kind(gpu), affordable_gpus(question, gpu)) for gpu in kinds],
        runs,
    )
    found.rows = together(
        [
            row_of(bench, hunt.design, hunt.best.deployment.replicas)
            for hunt in found.hunts
            if hunt.best is not None and hunt.design is not None
        ],
        runs,
    )
    found.rows.sort(key=lambda row: cost_of(question, row.deployment))


def _confirm(bench: Bench, runs: Runs, found: Found) -> None:
    """Confirm the first row with fresh seeds; where they refute it, go on to the next."""
    question = bench.question
    while found.rows:
        first = found.rows[0]
        equals = found.of_kind(first.deployment.gpu)
        (row,) = together([with_most_to_spare(bench, first, equals)], runs)
        found.rows[0] = row
        (top,) = together([check(bench, row.deployment)], runs)
        if top.meets:
            found.confirmation = Confirmation(
                seeds=fresh_seeds(question), top=top, cheaper=None, failed=tuple(found.refuted)
            )
            return
        found.refuted.append(top)
        found.rows[:1] = _one_more(bench, runs, found, row)
        found.rows.sort(key=lambda one: cost_of(question, one.deployment))


def _complete(bench: Bench, runs: Runs, found: Found) -> Crossover | None:
    """Look closer at the first row, and refute what is cheaper."""
    if found.confirmation is None:
        return None
    row = found.rows[0]
    others = [one for one in next_cheaper(bench.question, found.designs, row.deployment) if one]
    checks = together([check(bench, one) for one in others], runs)
    found.confirmation = replace(
        found.confirmation,
        cheaper=checks[0] if checks else None,
        strongest=checks[1] if len(checks) > 1 else None,
    )
    (found.rows[0],) = together([completed(bench, row, found.of_kind(row.deployment.gpu))], runs)
    (crossover,) = together([crossing_of(bench, found.rows, found.designs)], runs)
    return crossover


def _one_more(bench: Bench, runs: Runs, found: Found, row: Row) -> list[Row]:
    """Return the row of a deployment with one replica more, if the limits allow it."""
    more = row.deployment.with_replicas(row.deployment.replicas + 1)
    if more.gpus > affordable_gpus(bench.question, more.gpu):
        return []
    return together([row_of(bench, row.design, more.replicas)], runs)


def _nearest(bench: Bench, runs: Runs, found: Found) -> NearestMiss:
    """Return what comes closest."""
    failed = [one for hunt in found.hunts for one in hunt.failed]
    if failed:
        return nearest_simulated(bench.question, failed)
    if found.designs:
        return nearest_screened(bench.question, found.designs)
    (miss,) = together([nearest_rejected(bench, found.rejected)], runs)
    return miss


def _offers(question: Question, found: Found) -> tuple[Offer, ...]:
    """Return the rows that hold, then others that hold, then the best of those that do not."""
    offers = [row.offer(question) for row in found.rows]
    shown = {offer.deployment for offer in offers}
    for hunt in found.hunts:
        for held in hunt.held:
            unit = held.deployment.with_replicas(1)
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


def _counts(found: Found, runs: Runs) -> Counts:
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
