"""Whether the SLO is met, what stands in its way, and what would change that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from simulator.report.figures import fine_percent, percent
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

_REMEDIES = {
    "turned_away": "{share} are turned away at the queue: add replicas ({replicas}), lower "
    "the load, or let more wait for longer (scheduler.max_queue, scheduler.queue_timeout_s).",
    "cancelled": "{share} are given up by their clients before the last token: spread a step over "
    "more GPUs (hardware.tensor_parallel) or add replicas ({replicas}).",
    "failed": "{share} are lost with replicas that fail: allow more retries "
    "(cluster.failures.max_retries) or add replicas ({replicas}).",
    "queue": "{share} wait too long for the first token, most of that in the queue: add replicas "
    "({replicas}) or lower the load.",
    "ttft_s": "{share} wait too long for the first token, most of that in prefill: spread it over "
    "more GPUs (hardware.tensor_parallel).",
    "tpot_s": "{share} decode too slowly: let fewer share a step (scheduler.max_num_seqs, "
    "{replicas}) or spread it over more GPUs (hardware.tensor_parallel).",
    "e2e_s": "{share} take too long from end to end: spread a step over more GPUs "
    "(hardware.tensor_parallel) or add replicas ({replicas}).",
}


class _Target(NamedTuple):
    """An SLO: whose, what share of the requests must be in time, and both arms' figures."""

    whose: str
    due: float
    arms: tuple[Json, Json]

    @property
    def met(self) -> list[float]:
        return [float(arm["attainment"]) for arm in self.arms]

    @property
    def shortfall(self) -> float:
        return self.due - min(self.met)


def objective_advice(summary: Json) -> str | None:
    """Say who misses the SLO, why most requests do, and what to do about it.

    An arm meets it if enough requests of every traffic class do; the class that falls short most
    is named.

    Returns
    -------
    str or None
        None without an SLO, where both arms meet it, or where neither keeps up with its load, which
        says enough.
    """
    if not summary.get("slo") or all(summary[arm]["saturated"] for arm in ARMS):
        return None
    known = [
        target
        for target in _targets(summary)
        if None not in [arm["attainment"] for arm in target.arms]
    ]
    late = [any(target.met[arm] < target.due for target in known) for arm in range(len(ARMS))]
    if not any(late):
        return None
    worst = max(known, key=lambda target: target.shortfall)
    cause, share = _cause(worst.arms[late[1]], summary[ARMS[late[1]]])
    remedy = _REMEDIES[cause].format(share=percent(share), replicas=replicas_setting(summary))
    if all(late):
        where = "Neither arm meets"
    else:
        where = f"Only SD {'off' if late[1] else 'on'} meets"
        remedy = f"With SD {'on' if late[1] else 'off'} {remedy}"
    off, on = map(fine_percent, worst.met)
    return (
        f"{where} the SLO: {off} of the requests{worst.whose} are in time with SD off, {on} with "
        f"SD on, where {percent(worst.due)} must be. {remedy}"
    )


def replicas_setting(summary: Json) -> str:
    """Return the setting that says how many replicas there are: another has no effect.

    Examples
    --------
    >>> replicas_setting({"scenario": {"replicas_setting": "cluster.pools"}})
    'cluster.pools'
    """
    return str((summary.get("scenario") or {}).get("replicas_setting", "hardware.replicas"))


def _targets(summary: Json) -> list[_Target]:
    if not summary.get("classes"):
        off, on = (summary[arm] for arm in ARMS)
        return [_Target("", summary["slo"]["share"], (off, on))]
    return [
        _Target(
            f" of class {each['name']}",
            each["slo"]["share"],
            (each[ARMS[0]], each[ARMS[1]]),
        )
        for each in summary["classes"]
        if each["slo"]
    ]


def _cause(figures: Json, arm: Json) -> tuple[str, float]:
    """Return what most requests miss their SLO by, and their share.

    Parameters
    ----------
    figures
        Of a class or a whole arm.
    arm
        Of the whole arm, for its queue.
    """
    left = figures.get("outcome_shares") or {}
    causes = {name: share or 0.0 for name, share in figures["slo_missed"].items()}
    causes |= {outcome: left.get(outcome) or 0.0 for outcome in ("cancelled", "failed")}
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
