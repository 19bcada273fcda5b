"""Whether the objective is met, what stands in its way, and what would change that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.report.figures import fine_percent, percent
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

_REMEDIES = {
    "turned_away": "{share} are turned away at the queue: add replicas (hardware.replicas), lower "
    "the load, or let more wait for longer (scheduler.max_queue, scheduler.queue_timeout_s).",
    "queue": "{share} wait too long for the first token, most of that in the queue: add replicas "
    "(hardware.replicas) or lower the load.",
    "ttft_s": "{share} wait too long for the first token, most of that in prefill: spread it over "
    "more GPUs (hardware.tensor_parallel).",
    "tpot_s": "{share} decode too slowly: let fewer share a step (scheduler.max_num_seqs, "
    "hardware.replicas) or spread it over more GPUs (hardware.tensor_parallel).",
    "e2e_s": "{share} take too long from end to end: spread a step over more GPUs "
    "(hardware.tensor_parallel) or add replicas (hardware.replicas).",
}


def objective_advice(summary: Json) -> str | None:
    """Say who misses the objective, why most requests do, and what to do about it.

    Returns
    -------
    str or None
        None without an objective, where both arms meet it, or where neither keeps up with its load,
        which says enough.
    """
    slo = summary.get("slo")
    if not slo or all(summary[arm]["saturated"] for arm in ARMS):
        return None
    met = [summary[arm]["attainment"] for arm in ARMS]
    if None in met:
        return None
    missing = [arm for arm, share in zip(ARMS, met, strict=True) if share < slo["share"]]
    if not missing:
        return None
    off, on = map(fine_percent, met)
    where = {
        2: "Neither arm meets the SLO",
        1: f"Only SD {'on' if missing == [ARMS[0]] else 'off'} meets the SLO",
    }[len(missing)]
    lead = f"{where}: {off} of the requests are in time with SD off, {on} with SD on, where "
    cause, share = _cause(summary[missing[-1]])
    remedy = _REMEDIES[cause].format(share=percent(share))
    if len(missing) == 1:
        remedy = f"With SD {'off' if missing == [ARMS[0]] else 'on'} {remedy}"
    return f"{lead}{percent(slo['share'])} must be. {remedy}"


def _cause(arm: Json) -> tuple[str, float]:
    """Return what most requests of an arm miss the objective by, and their share."""
    left = arm.get("outcome_shares") or {}
    causes = {name: share or 0.0 for name, share in arm["slo_missed"].items()}
    causes["turned_away"] = (left.get("rejected") or 0.0) + (left.get("timed_out") or 0.0)
    worst = max(causes, key=causes.__getitem__)
    if worst == "ttft_s" and _queues(arm):
        return "queue", causes[worst]
    return worst, causes[worst]


def _queues(arm: Json) -> bool:
    """Tell whether most of the time to first token is spent in the queue."""
    if arm["saturated"]:
        return True
    known = [
        (arm["queue_s"][label], arm["ttft_s"][label])
        for label in ("p90", "p50")
        if arm["queue_s"][label] is not None and arm["ttft_s"][label] is not None
    ]
    return bool(known) and known[0][0] >= known[0][1] / 2
