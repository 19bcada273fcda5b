"""The figures of one arm of a paired run, from those of its replications."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add

import numpy as np

from simulator.trace.json_file import Json
from simulator.trace.latencies import TIMES, Samples, percentiles
from simulator.trace.load import ratio
from simulator.trace.metrics import RunMetrics
from simulator.trace.schema import OUTCOMES
from simulator.trace.statistics import Interval, mean_interval
from simulator.trace.tenants import Tenants, jain
from simulator.trace.verdict import LABELS, joint

GROWS_WITH_QUEUE = ("ttft_s", "e2e_s", "queue_s")
"""Times that measure the length of the run where the queue grows to the end."""

_SCALARS: dict[str, Callable[[RunMetrics], float | None]] = {
    "output_tokens_per_s": lambda run: run.load.output_tokens_per_s,
    "requests_per_s": lambda run: run.requests_per_s,
    "goodput_per_s": lambda run: run.goodput_per_s,
    "attainment": lambda run: run.attainment,
    "mean_batch": lambda run: run.load.mean_batch,
    "mean_context_tokens": lambda run: run.load.mean_context_tokens,
    "active_experts": lambda run: run.load.active_experts,
    "step_s": lambda run: run.load.step_s,
    "utilisation": lambda run: run.load.utilisation,
    "kv_usage": lambda run: run.load.kv_usage,
    "prefix_hit_rate": lambda run: run.prefix_hit_rate,
    "mean_draft_tokens": lambda run: run.load.mean_draft_tokens,
}

_COUNTS: dict[str, Callable[[RunMetrics], int]] = {
    "completed": lambda run: run.completed,
    "rejected": lambda run: run.rejected,
    "measured": lambda run: run.latencies["e2e_s"].size,
    "preemptions": lambda run: run.preemptions,
    "preempted": lambda run: run.preempted,
    "num_drafts": lambda run: run.load.num_drafts,
    "num_draft_tokens": lambda run: run.load.num_draft_tokens,
    "num_accepted_tokens": lambda run: run.num_accepted_tokens,
}


def arm_figures(runs: Sequence[RunMetrics]) -> Json:
    """Return the figures of an arm (:mod:`simulator.trace.definitions`).

    Percentiles pool the requests of all replications and are None on too few; counts are sums;
    other figures are means over replications, their intervals under ``intervals``.
    """
    verdict = joint([run.verdict for run in runs])
    pooled = {name: pool(run.latencies[name] for run in runs) for name in TIMES}
    hidden = GROWS_WITH_QUEUE if verdict.saturated else ()
    intervals = {name: _mean(map(get, runs)) for name, get in _SCALARS.items()}
    rounds = sum(run.rounds for run in runs)
    accepted = sum(run.accepted_draft_tokens for run in runs)
    return {
        **{name: percentiles(pooled[name], hidden=name in hidden) for name in TIMES},
        **{name: found.value if found else None for name, found in intervals.items()},
        **{name: sum(map(get, runs)) for name, get in _COUNTS.items()},
        "mean_acceptance_length": ratio(rounds + accepted, rounds),
        "slo_missed": _mean_shares([run.missed for run in runs]),
        "outcomes": {name: sum(run.outcomes[name] for run in runs) for name in OUTCOMES},
        "outcome_shares": _mean_shares([run.outcome_shares for run in runs]),
        **_fairness([run.tenants for run in runs if run.tenants is not None]),
        "kv_usage_peak": max([run.load.kv_usage_peak for run in runs], default=None),
        "verdict": {
            "label": verdict.label,
            "signal": verdict.signal,
            "runs": {label: sum(run.verdict.label == label for run in runs) for label in LABELS},
        },
        "saturated": verdict.saturated,
        "intervals": {name: as_json(found) for name, found in intervals.items()},
    }


def pool(parts: Iterable[Samples]) -> Samples:
    """Join samples."""
    return np.concatenate([np.empty(0), *parts])


def as_json(found: Interval | None) -> Json:
    """Return an interval as a JSON object, of nulls where there is none."""
    return asdict(found) if found else {"value": None, "low": None, "high": None}


def _mean(values: Iterable[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return mean_interval(known) if known else None


def _mean_shares(runs: Sequence[dict[str, float | None]]) -> Json:
    names = list(runs[0]) if runs else []
    means = {name: _mean(run[name] for run in runs) for name in names}
    return {name: found.value if found else None for name, found in means.items()}


def _fairness(runs: Sequence[Tenants]) -> Json:
    total = reduce(add, runs) if runs else None
    return {
        "jain_service": jain(total.service_tokens) if total else None,
        "jain_demand": jain(total.demand_tokens) if total else None,
    }
