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

from collections.abc import Callable
from dataclasses import replace

from simulator.study.executors import Executor
from simulator.study.plan.answer import Findings, answer
from simulator.study.plan.bench import Bench, Variants
from simulator.study.plan.cheapest import cheapest
from simulator.study.plan.confirm import check, fresh_seeds, next_cheaper
from simulator.study.plan.cost import affordable_gpus, cost_of
from simulator.study.plan.crossing import crossing_of
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.nearest import nearest_rejected, nearest_screened, nearest_simulated
from simulator.study.plan.question import Question
from simulator.study.plan.result import Check, Confirmation, NearestMiss, Plan
from simulator.study.plan.rows import Row, completed, row_of, with_most_to_spare
from simulator.study.plan.runs import Runs, Search, together
from simulator.study.plan.store import Store
from simulator.study.plan.survey import bench_of, survey


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
    variants, found = Variants(question), Findings()
    ((found.designs, found.rejected),) = together([survey(variants)], runs)
    bench = bench_of(variants, found.designs)
    _hunt(bench, runs, found)
    _confirm(bench, runs, found)
    if found.confirmation is None:
        (found.miss,) = together([_nearest(bench, found)], runs)
    else:
        _refute_cheaper(bench, runs, found, found.confirmation)
        (found.rows[0],) = together([_completed(bench, found)], runs)
        (found.crossover,) = together([crossing_of(bench, found.rows, found.designs)], runs)
    return answer(bench, found, runs)


def _hunt(bench: Bench, runs: Runs, found: Findings) -> None:
    """Find the best deployment of each kind of GPU, all kinds side by side."""
    question = bench.question
    kinds = [gpu for gpu in dict.fromkeys(question.candidates.gpus) if found.of_kind(gpu)]
    found.hunts = together(
        [cheapest(bench, found.of_kind(gpu), affordable_gpus(question, gpu)) for gpu in kinds],
        runs,
    )
    best = [hunt.best.deployment for hunt in found.hunts if hunt.best is not None]
    _add_rows(bench, runs, found, best)


def _add_rows(bench: Bench, runs: Runs, found: Findings, best: list[Deployment]) -> None:
    """Add the rows of deployments, by cost."""
    designs = {design.deployment: design for design in found.designs}
    wanted = [row_of(bench, designs[one.with_replicas(1)], one.replicas) for one in best]
    found.rows += together(wanted, runs)
    found.rows.sort(key=lambda row: cost_of(bench.question, row.deployment))


def _confirm(bench: Bench, runs: Runs, found: Findings) -> None:
    """Confirm the first row with fresh seeds; where they refute it, go on to the next."""
    question = bench.question
    while found.rows:
        equals = found.of_kind(found.rows[0].deployment.gpu)
        (row,) = together([with_most_to_spare(bench, found.rows[0], equals)], runs)
        found.rows[0] = row
        (top,) = together([check(bench, row.deployment)], runs)
        if top.meets:
            found.confirmation = Confirmation(
                seeds=fresh_seeds(question), top=top, cheaper=None, failed=tuple(found.refuted)
            )
            return
        found.refuted.append(top)
        found.rows.pop(0)
        _add_rows(bench, runs, found, _in_its_place(question, found, row.deployment))


def _in_its_place(question: Question, found: Findings, refuted: Deployment) -> list[Deployment]:
    """Return what may follow a first row that was refuted, on GPUs of its kind.

    One replica more, or a deployment that held in the search and takes fewer GPUs than that.
    """
    more = refuted.with_replicas(refuted.replicas + 1)
    known = {check.deployment for check in found.refuted}
    others = [
        held.deployment
        for hunt in found.hunts
        for held in hunt.held
        if held.deployment.gpu == more.gpu and held.deployment not in known
    ]
    allowed = affordable_gpus(question, more.gpu)
    follow = [one for one in (*others, more) if one.gpus <= min(more.gpus, allowed)]
    return [min(follow, key=lambda one: one.gpus)] if follow else []


def _refute_cheaper(bench: Bench, runs: Runs, found: Findings, confirmation: Confirmation) -> None:
    """Run what is cheaper than the first row with the same fresh seeds."""
    literal, strongest = next_cheaper(bench.question, found.designs, found.rows[0].deployment)
    others = [one for one in (literal, strongest) if one is not None]
    checks: list[Check] = together([check(bench, one) for one in others], runs)
    found.confirmation = replace(
        confirmation,
        cheaper=checks[0] if checks else None,
        strongest=checks[1] if len(checks) > 1 else None,
    )


def _completed(bench: Bench, found: Findings) -> Search[Row]:
    """Look closer at the first row."""
    row, refuted = found.rows[0], {one.deployment for one in found.refuted}
    return (yield from completed(bench, row, found.of_kind(row.deployment.gpu), refuted))


def _nearest(bench: Bench, found: Findings) -> Search[NearestMiss]:
    """Return what comes closest where nothing holds."""
    failed = [one for hunt in found.hunts for one in hunt.failed]
    if failed:
        return nearest_simulated(bench.question, failed)
    if found.designs:
        return nearest_screened(bench.question, found.designs)
    return (yield from nearest_rejected(bench.variants, found.rejected))
