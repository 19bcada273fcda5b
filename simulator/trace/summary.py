"""The summary of a paired run, as it stands in ``summary.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.json_file import json_safe
from simulator.trace.load import ratio
from simulator.trace.metrics import (
    LATENCIES,
    QUANTILES,
    RunMetrics,
    enough,
    measure,
    percentile,
)
from simulator.trace.schema import ARMS
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

Json = dict[str, Any]
"""A JSON object."""

_GROWS_WITH_QUEUE = ("ttft_s", "e2e_s")

_SCALARS: dict[str, Callable[[RunMetrics], float | None]] = {
    "output_tokens_per_s": lambda run: run.load.output_tokens_per_s,
    "requests_per_s": lambda run: run.requests_per_s,
    "mean_batch": lambda run: run.load.mean_batch,
    "mean_context_tokens": lambda run: run.load.mean_context_tokens,
    "active_experts": lambda run: run.load.active_experts,
    "step_s": lambda run: run.load.step_s,
    "utilisation": lambda run: run.load.utilisation,
    "kv_usage": lambda run: run.load.kv_usage,
    "mean_draft_tokens": lambda run: run.load.mean_draft_tokens,
}


def summarise(
    requests_path: Path | str,
    iterations_path: Path | str,
    *,
    warmup_fraction: float,
    extra: Mapping[str, Any],
) -> Json:
    """Summarise a paired trace: both arms, their ratios with intervals, and warnings.

    A speedup is above 1 where speculation is better: baseline / speculative for latencies,
    speculative / baseline for throughput. It is the geometric mean over replications of the ratio
    within each, with its 95 % t interval. Percentiles of an arm pool the requests of all
    replications and are None on too few (:func:`~simulator.trace.metrics.enough`); other figures
    are means over replications, their intervals under ``intervals``. TTFT and E2E latency of a
    saturated arm are None: they grow with the length of the run.

    Parameters
    ----------
    requests_path, iterations_path
        The two files of the trace.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).
    extra
        Joined in: ``target_efficiency``, ``scenario``, ``decomposition``, ``assumptions``,
        ``files``. Its ``warnings`` come before ours.

    Returns
    -------
    dict
        JSON-safe: no NaN or infinity.

    Raises
    ------
    DataError
        If a file is not a complete trace of its table.
    ConfigError
        If the fraction is outside [0, 1).
    """
    runs = measure(requests_path, iterations_path, warmup_fraction)
    arms = {
        arm: {run.replication: found for run, found in sorted(runs.items()) if run.arm == arm}
        for arm in ARMS
    }
    figures = {arm: _arm(list(arms[arm].values())) for arm in ARMS}
    common = sorted(set(arms[ARMS[0]]) & set(arms[ARMS[1]]))
    pairs = [(arms[ARMS[0]][index], arms[ARMS[1]][index]) for index in common]
    saturated = any(figures[arm]["saturated"] for arm in ARMS)
    summary = {
        "speedup": _speedups(pairs, figures, saturated=saturated),
        **figures,
        "mean_acceptance_length": figures["speculative"]["mean_acceptance_length"],
        "target_efficiency": None,
        "replications": len(common),
        "warmup_fraction": warmup_fraction,
        **extra,
    }
    ours = _warnings(figures, pairs)
    summary["warnings"] = [*extra.get("warnings", []), *ours]
    return dict(json_safe(summary))


def _arm(runs: Sequence[RunMetrics]) -> Json:
    # A replication may pass the threshold by chance; half of them do not.
    saturated = 2 * sum(run.saturated for run in runs) >= max(1, len(runs))
    figures: Json = {}
    for name in LATENCIES:
        samples = np.concatenate([run.latencies[name] for run in runs] or [np.empty(0)])
        hidden = saturated and name in _GROWS_WITH_QUEUE
        figures[name] = {
            label: percentile(samples, q) if enough(samples.size, q) and not hidden else None
            for label, q in QUANTILES.items()
        }
    intervals = {name: _mean(runs, get) for name, get in _SCALARS.items()}
    rounds = sum(run.rounds for run in runs)
    accepted = sum(run.accepted_draft_tokens for run in runs)
    return {
        **figures,
        **{name: found.value if found else None for name, found in intervals.items()},
        "mean_acceptance_length": ratio(rounds + accepted, rounds),
        "completed": sum(run.completed for run in runs),
        "rejected": sum(run.rejected for run in runs),
        "measured": sum(run.latencies["e2e_s"].size for run in runs),
        "preemptions": sum(run.preemptions for run in runs),
        "preempted": sum(run.preempted for run in runs),
        "kv_usage_peak": max([run.load.kv_usage_peak for run in runs], default=None),
        "saturated": saturated,
        "intervals": {name: _interval(found) for name, found in intervals.items()},
    }


def _mean(runs: Sequence[RunMetrics], get: Callable[[RunMetrics], float | None]) -> Interval | None:
    values = [value for value in map(get, runs) if value is not None]
    return mean_interval(values) if values else None


def _interval(found: Interval | None) -> Json:
    return asdict(found) if found else {"value": None, "low": None, "high": None}


def _speedups(
    pairs: Sequence[tuple[RunMetrics, RunMetrics]], figures: Json, *, saturated: bool
) -> Json:
    rates = [(off.load.output_tokens_per_s, on.load.output_tokens_per_s) for off, on in pairs]
    found = {"throughput": paired_ratio([on for _, on in rates], [off for off, _ in rates])}
    for name in LATENCIES:
        for label, q in QUANTILES.items():
            # The median's ratio carries its own interval, so it stands on few requests too.
            printed = label == "p50" or all(figures[arm][name][label] is not None for arm in ARMS)
            hidden = saturated and name in _GROWS_WITH_QUEUE
            off, on = (
                [percentile(pair[side].latencies[name], q) for pair in pairs] for side in (0, 1)
            )
            key = f"{name.removesuffix('_s')}_{label}"
            found[key] = paired_ratio(off, on) if printed and not hidden else None
    return {key: _interval(value) for key, value in found.items()}


def _preempted(arm: Json) -> str:
    return (
        f"{arm['preempted']} of {arm['completed']} requests lost their KV blocks to others, "
        f"{arm['preemptions']} times in all, and were prefilled anew. More GPUs or replicas hold "
        f"more cache; a lower scheduler.max_num_seqs lets fewer compete for it."
    )


def _warnings(figures: Json, pairs: Sequence[tuple[RunMetrics, RunMetrics]]) -> list[str]:
    found = []
    for arm in ARMS:
        completed, rejected = figures[arm]["completed"], figures[arm]["rejected"]
        if not completed:
            found.append(f"{arm}: no request finished; there is nothing to measure.")
        if rejected:
            share = rejected / (completed + rejected)
            found.append(f"{arm}: {rejected} requests ({share:.1%}) were rejected.")
        if figures[arm]["preempted"]:
            found.append(f"{arm}: {_preempted(figures[arm])}")
    saturated = [arm for arm in ARMS if figures[arm]["saturated"]]
    if saturated:
        found.append(
            f"{' and '.join(saturated)}: saturated. The queue grew until the last arrival, so TTFT "
            "and E2E latency measure the length of the run and are withheld. Lower the load or add "
            "replicas."
        )
    if len(pairs) == 1:
        found.append("one replication: speedups have no confidence interval.")
    if any(run.window.burst for pair in pairs for run in pair):
        found.append(
            "all requests came within the time one takes to serve: measured whole, from the first "
            "arrival to the last token, with the filling and emptying of the batch."
        )
    return found
