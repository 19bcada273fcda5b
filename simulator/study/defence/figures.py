"""Figures of a run, from its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.serving.tenants.attacker import HIT, HORIZON, SessionRow
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.tenancy import TenantRow
from simulator.study.defence.censored import Ends
from simulator.units import HOUR_S

Floats = NDArray[np.float64]

Figures = dict[str, float | None]
"""By name, one of `FIGURES`; None where there is nothing to measure."""

FIGURES = {
    "sessions": "attack sessions that began",
    "unfinished": "share of them that the end of the run cut off",
    "successes_per_h": "sessions that end with a majority (see there), per hour, all attackers",
    "first_hit": "chance that a session sees a candidate misclassified once, on average of eot",
    "believed": "chance that it ends with what the attacker's own rule takes for a success",
    "majority": "chance that it ends with what most of 25 fresh replies misclassify",
    "queries_per_session": "replies that a session takes to its end",
    "attack_queries_per_s": "queries of attackers that were served, per second",
    "attack_gpu_s_per_h": "GPU-seconds that they took, per hour",
    "benign_p50_s": "median latency of ordinary queries, s",
    "benign_p95_s": "95th percentile of it, s",
    "benign_p99_s": "99th percentile of it, s",
    "benign_goodput_per_s": "ordinary queries answered in time, per second",
    "benign_refused": "share of ordinary queries that a limit turned away",
    "benign_right": "share of those answered that were answered rightly",
    "llm_ttft_p50_s": "median time to first token of the LLM beside it, s",
    "llm_ttft_p99_s": "99th percentile of it, s",
    "llm_tpot_p50_s": "median time per output token, s",
    "llm_tpot_p99_s": "99th percentile of it, s",
}
"""What is measured of a case."""

SHARES = ("unfinished", "first_hit", "believed", "majority", "benign_refused", "benign_right")
"""Figures from 0 to 1."""

WITHOUT_RATIO = (*SHARES, "successes_per_h")
"""Figures that may well be 0: they have differences, but no ratios that mean something."""

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def attack_figures(
    rows: Sequence[SessionRow], majority: Sequence[bool], tenants: TenantsConfig
) -> Figures:
    """Return what sessions came to.

    A session that the end of the run cuts off is censored (`censored`); one that a quota ends has
    failed. Successes come at the rate of a renewal process, ``p / (session + pause)`` an attacker,
    which does not depend on how long the run is; behind a quota, which attackers do not outlive,
    they are counted.

    Parameters
    ----------
    rows, majority
        Sessions, and what judged of their last candidates.
    tenants
        Who attacked, and for how long.
    """
    cut = np.array([row.outcome == HORIZON for row in rows], dtype=bool)
    replies = np.array([row.queries for row in rows], dtype=np.float64)
    wall_s = np.array([row.ended_s - row.started_s for row in rows], dtype=np.float64)
    first = np.array([row.first_hit_queries for row in rows], dtype=np.float64)
    won = np.array(majority, dtype=bool)
    ends = Ends(replies, cut)
    until_first = Ends(np.where(first > 0, first, replies), cut & (first == 0))
    session_s, chance = Ends(wall_s, cut).mean(), ends.chance(won)
    successes_per_h: float | None = None
    if tenants.limits.quota is not None:
        successes_per_h = float((won & ~cut).sum()) / tenants.horizon_s * HOUR_S
    elif session_s is not None and chance is not None:
        successes_per_h = tenants.attackers * chance / (session_s + tenants.gap_s) * HOUR_S
    return {
        "sessions": float(len(rows)),
        "unfinished": float(cut.mean()) if len(rows) else None,
        "successes_per_h": successes_per_h,
        "first_hit": until_first.chance(first > 0),
        "believed": ends.chance(np.array([row.outcome == HIT for row in rows], dtype=bool)),
        "majority": chance,
        "queries_per_session": ends.mean(),
    }


def load_figures(tenants: Sequence[TenantRow], horizon_s: float) -> Figures:
    """Return what attackers made the endpoint do.

    Parameters
    ----------
    tenants
        What each had.
    horizon_s
        Length of the run.
    """
    rows = [row for row in tenants if row.attacks]
    return {
        "attack_queries_per_s": sum(row.queries for row in rows) / horizon_s,
        "attack_gpu_s_per_h": sum(row.gpu_s for row in rows) / horizon_s * HOUR_S,
    }


def benign_figures(
    latency_s: ArrayLike,
    right: int,
    tenants: Sequence[TenantRow],
    *,
    horizon_s: float,
    objective_s: float,
) -> Figures:
    """Return what ordinary users saw.

    Parameters
    ----------
    latency_s, right
        Of the queries that were answered, and how many rightly.
    tenants
        What each tenant had.
    horizon_s, objective_s
        Length of the run, and time in which a query is to be answered.
    """
    latencies_s = np.asarray(latency_s, dtype=np.float64)
    rows = [row for row in tenants if not row.attacks]
    answered, refused = (sum(getattr(row, name) for row in rows) for name in ("queries", "refused"))
    return _percentiles("benign", latencies_s) | {
        "benign_goodput_per_s": int((latencies_s <= objective_s).sum()) / horizon_s,
        "benign_refused": refused / (answered + refused) if answered + refused else None,
        "benign_right": right / answered if answered else None,
    }


def llm_figures(times: Mapping[str, Floats]) -> Figures:
    """Return what users of the LLM beside saw, of `latencies.times_s`."""
    found: Figures = {}
    for latency in ("ttft", "tpot"):
        found |= _percentiles(f"llm_{latency}", times[f"{latency}_s"])
    return {name: value for name, value in found.items() if name in FIGURES}


def _percentiles(what: str, values: Floats) -> Figures:
    happened = values[~np.isnan(values)]
    return {
        f"{what}_{label}_s": float(np.quantile(happened, quantile)) if happened.size else None
        for label, quantile in _QUANTILES.items()
    }
