"""What traffic classes and tenants saw, side by side in both arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial, reduce
from operator import add

from simulator.trace.arms import GROWS_WITH_QUEUE, as_json, pool
from simulator.trace.classes import ClassMetrics
from simulator.trace.json_file import Json
from simulator.trace.latencies import LATENCIES, percentiles
from simulator.trace.load import ratio
from simulator.trace.metrics import RunMetrics
from simulator.trace.objectives import Objectives
from simulator.trace.statistics import mean_interval, paired_ratio
from simulator.trace.tenants import Tenants

MOST_TENANTS = 20
"""Tenants listed by themselves: those that ask for most. Fairness is over all."""

Arms = Mapping[str, Sequence[RunMetrics]]
"""The replications of each arm, in the same order."""


def class_figures(arms: Arms, objectives: Objectives) -> list[Json]:
    """Return the figures of every traffic class; none where there is one.

    Each has its ``name``, its objective (``slo``), the figures of both arms, and the ratio of their
    goodput, speculative over baseline, with its interval.
    """
    indices = sorted({index for runs in arms.values() for run in runs for index in run.classes})
    return [_class(arms, objectives, index) for index in indices]


def tenant_figures(arms: Arms, objectives: Objectives) -> list[Json]:
    """Return requests, goodput and tokens of the tenants that ask for most, in both arms."""
    tenant = partial(_tenant, promised=objectives.given)
    totals = {arm: _total(runs) for arm, runs in arms.items()}
    known = [total for total in totals.values() if total is not None]
    if not known:
        return []
    demand_tokens = reduce(add, known).demand_tokens
    largest = sorted(range(demand_tokens.size), key=lambda each: -int(demand_tokens[each]))
    return [
        {"tenant": each, **{arm: tenant(total, each) for arm, total in totals.items()}}
        for each in largest[:MOST_TENANTS]
    ]


def _class(arms: Arms, objectives: Objectives, index: int) -> Json:
    mine = {
        arm: [run.classes[index] for run in runs if index in run.classes]
        for arm, runs in arms.items()
    }
    hidden = {
        arm: GROWS_WITH_QUEUE if any(run.saturated for run in runs) else ()
        for arm, runs in arms.items()
    }
    off, on = ([run.goodput_per_s for run in runs] for runs in mine.values())
    whole = len(off) == len(on)
    slo = objectives.of(index)
    return {
        "name": objectives.name(index),
        "slo": asdict(slo) if slo.bounds else None,
        **{arm: _class_arm(mine[arm], hidden[arm], bool(slo.bounds)) for arm in arms},
        "goodput": as_json(paired_ratio(on, off) if whole else None),
    }


def _class_arm(runs: Sequence[ClassMetrics], hidden: Sequence[str], promised: bool) -> Json:
    requests = sum(run.requests for run in runs)
    goodput = [run.goodput_per_s for run in runs if run.goodput_per_s is not None]
    times = {name: pool(run.latencies[name] for run in runs) for name in LATENCIES}
    return {
        "requests": requests,
        "outcome_shares": _shares([run.outcomes for run in runs], requests),
        "attainment": ratio(sum(run.attained for run in runs), requests) if promised else None,
        "slo_missed": _shares([run.missed for run in runs], requests),
        "goodput_per_s": mean_interval(goodput).value if promised and goodput else None,
        **{name: percentiles(times[name], hidden=name in hidden) for name in LATENCIES},
    }


def _shares(counts: Sequence[Mapping[str, int]], requests: int) -> Json:
    names = counts[0] if counts else ()
    return {name: ratio(sum(count[name] for count in counts), requests) for name in names}


def _total(runs: Sequence[RunMetrics]) -> Tenants | None:
    found = [run.tenants for run in runs if run.tenants is not None]
    return reduce(add, found) if found else None


def _tenant(total: Tenants | None, tenant: int, *, promised: bool) -> Json | None:
    if total is None or tenant >= total.requests.size:
        return None
    requests = int(total.requests[tenant])
    return {
        "requests": requests,
        "finished_share": ratio(int(total.finished[tenant]), requests),
        "attainment": ratio(int(total.attained[tenant]), requests) if promised else None,
        "goodput_per_s": ratio(int(total.good[tenant]), total.window_s) if promised else None,
        "demand_tokens": int(total.demand_tokens[tenant]),
        "service_tokens": int(total.service_tokens[tenant]),
    }
