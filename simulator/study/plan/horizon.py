"""How long to simulate: until the load is there, and then until enough was seen.

A run starts empty. Requests that last long fill it slowly: of the load that is there in the end,
the share that is there at time t is ``E[min(S, t)] / E[S]``, with S the time that a request stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.slo import SloConfig
from simulator.study.plan.traffic import Traffic

FILLED = 0.9
"""Share of the load that must be there when measuring starts. Assumed."""

MISSES = 10.0
"""Requests of a class that may miss its objective, within the measured ones. Assumed: fewer do not
tell a share of .99 from one of .98."""

FEWEST_REQUESTS = 400
"""Requests of a measured stretch at least. Assumed."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The length of a run, the same for all deployments.

    Parameters
    ----------
    span_s
        Time in which requests arrive, s.
    warmup_fraction
        Share of it that is cut.

    Examples
    --------
    >>> Horizon(span_s=600.0, warmup_fraction=0.5).requests(rate=2.0)
    1200
    """

    span_s: float
    warmup_fraction: float

    def requests(self, rate: float) -> int:
        """Return how many requests arrive at a mean rate, requests/s."""
        return max(1, math.ceil(rate * self.span_s - 1e-9))


def choose_horizon(
    traffic: Traffic,
    objectives: Sequence[SloConfig],
    rate: float,
    *,
    token_s: float,
    requests: int | None = None,
) -> Horizon:
    """Choose how long to simulate.

    The run fills, and is measured for at least half as long, until every class has enough requests
    for its share. Requests are taken to stay as long as their objective lets them, or as their
    tokens take.

    Parameters
    ----------
    traffic, objectives
        What arrives, and what each class is promised.
    rate
        The target load, requests/s.
    token_s
        Time per output token of the slowest deployment, s.
    requests
        How many there are to be; None for as many as that takes.
    """
    stays_s = traffic.residence_bound_s(objectives)
    stays_s = np.minimum(stays_s, token_s * traffic.later_tokens)
    fill_s = filling_time_s(stays_s)
    if requests is not None:
        span_s = requests / rate
        return Horizon(span_s, min(fill_s / span_s, 0.5))
    shares = traffic.class_shares()
    measured_s = max(
        MISSES / max(1.0 - slo.share, 0.001) / (rate * share)
        for slo, share in zip(objectives, shares, strict=True)
        if share > 0
    )
    measured_s = float(max(measured_s, fill_s / 2, FEWEST_REQUESTS / rate))
    return Horizon(fill_s + measured_s, fill_s / (fill_s + measured_s))


def filling_time_s(stays_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return when `FILLED` of the load is there, for requests that stay for so long, s.

    Examples
    --------
    >>> round(filling_time_s(np.full(100, 10.0)), 6)
    9.0
    """
    total = float(stays_s.sum())
    if total <= 0.0:
        return 0.0
    ordered = np.sort(stays_s)
    # sum of min(S, t) at each t = S[k]: those before k in full, and t of the others.
    before = np.concatenate([[0.0], np.cumsum(ordered)[:-1]])
    reached = before + ordered * np.arange(ordered.size, 0, -1)
    at = int(np.searchsorted(reached, FILLED * total))
    return float((FILLED * total - before[at]) / (ordered.size - at))
