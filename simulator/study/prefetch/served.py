"""What prefetching is worth in the event simulator: TPOT by batch, before and after a change.

Arms serve the same closed loop on recorded routes, at equal memory for experts but the last:

- ``on_demand``: ``C + S`` experts of a layer stay, the last used;
- recipes (``ce``, ``ce_auc_bank``, ...): C stay, and a predictor so trained fills S slots;
- ``switched``: the predictor that is handed over, with the switch that its crossover sets;
- ``resident``: all experts are on the GPU, which is what a larger GPU would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.compose import compose
from simulator.config import Config
from simulator.experts.config import LEARNED
from simulator.scenario import Scenario, build
from simulator.serving.cluster import Cluster
from simulator.streams import Streams
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.replay import Room
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.trace.in_memory import KeptRows
from simulator.trace.latencies import happened, times_s
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.statistics import Interval, paired_ratio

RESIDENT = "resident"
"""The arm with all experts on the GPU."""

SWITCHED = "switched"
"""The arm whose predictor is off beyond the crossover."""

UNPREDICTED = (ON_DEMAND, RESIDENT)
"""Arms without a predictor."""

BEFORE, AFTER = TRAFFIC = ("before", "after")
"""Traffic as learned, and after the change."""

MOST = 256
"""The largest batch that is served."""

_PER_USER, _LEAST = 8, 48
"""Requests of a user in a run, and of a run: so long that prompts and the first steps weigh little,
and that there is something to take percentiles of."""


class Point(NamedTuple):
    """One run of the simulator.

    Parameters
    ----------
    arm, traffic
        What serves, and which of `TRAFFIC`.
    batch
        Users of the closed loop.
    replication
        Which repetition; arms share its draws.
    """

    arm: str
    traffic: str
    batch: int
    replication: int


class Measured(NamedTuple):
    """What a run showed.

    Parameters
    ----------
    point
        Which run.
    tpot_p50_s, tpot_p99_s
        Time per output token, s: median and 99th percentile over its requests.
    step_s, distinct
        Mean time of the steps without prompts, s, and the distinct experts of a layer in them.
    """

    point: Point
    tpot_p50_s: float
    tpot_p99_s: float
    step_s: float
    distinct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is served.

    Parameters
    ----------
    words
        Of the scenario, as for ``moesim simulate``.
    routes
        Files of routes by traffic.
    predictors
        Files of predictors by arm.
    room
        What a layer has room for.
    experts
        Experts of a layer of the model.
    gamma
        Draft tokens.
    replications
        Repetitions.
    unpredicted
        Arms beside those of predictors.
    """

    words: tuple[str, ...]
    routes: dict[str, Path]
    predictors: dict[str, Path]
    room: Room
    experts: int
    gamma: int = 3
    replications: int = 2
    unpredicted: tuple[str, ...] = UNPREDICTED

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms."""
        return (*self.unpredicted, *self.predictors)

    def config(self, arm: str, traffic: str) -> Config:
        """Return the configuration of an arm, for `of_batch`."""
        rooms = {ON_DEMAND: sum(self.room), RESIDENT: self.experts}
        words = [
            *self.words,
            f"speculation.gamma={self.gamma}",
            "experts=offloaded",
            "experts.fidelity=sampled",
            "routing=recorded",
            f"routing.path='{self.routes[traffic]}'",
            f"scheduler.max_num_seqs={MOST}",
            f"experts.offload.resident_experts={rooms.get(arm, self.room.resident)}",
        ]
        if arm in self.predictors:
            words += [
                f"experts.offload.prefetch={LEARNED}",
                f"experts.offload.prefetch_experts={self.room.slots}",
                f"experts.offload.predictor='{self.predictors[arm]}'",
            ]
        return compose(words)


def serve(serving: Serving, batches: Sequence[int], workers: Workers) -> list[Measured]:
    """Run all arms on all traffic at some batches; results in a fixed order.

    Parameters
    ----------
    serving
        What is served.
    batches
        Users of closed loops.
    workers
        Who runs them.
    """
    jobs = [
        (arm, traffic, tuple(batches), serving)
        for traffic in serving.routes
        for arm in serving.arms
    ]
    found = workers.run(_run, jobs, units=len(batches) * serving.replications)
    return [one for runs in found for one in runs]


def _run(job: tuple[str, str, tuple[int, ...], Serving]) -> list[Measured]:
    """Serve an arm at all batches, whose runs share what the scenario has counted and priced."""
    arm, traffic, batches, serving = job
    scenario = build(serving.config(arm, traffic))
    return [
        _measure(scenario, Point(arm, traffic, batch, number))
        for batch in batches
        for number in range(serving.replications)
    ]


def of_batch(config: Config, batch: int) -> Config:
    """Return a configuration with so many users."""
    requests = max(_PER_USER * batch, _LEAST)
    return replace(
        config,
        workload=replace(config.workload, concurrency=batch),
        run=replace(config.run, requests=requests),
    )


def _measure(scenario: Scenario, point: Point) -> Measured:
    scenario = scenario.under(of_batch(scenario.config, point.batch))
    config, requests, iterations = scenario.config, KeptRows(REQUESTS), KeptRows(ITERATIONS)
    Cluster(
        scenario.cluster(config.speculation.gamma),
        scenario.router(),
        scenario.workload,
        scenario.acceptance,
        Streams(config.run.seed, point.replication),
        requests_trace=requests,
        iterations_trace=iterations,
    ).run()
    served = requests.columns()
    # The first request of each user meets an empty cluster.
    tpot_s = happened(times_s(served)["tpot_s"][served["request_id"] >= point.batch])
    steps = iterations.columns()
    plain = steps["prefill_tokens"] == 0
    full = plain & (steps["decode_requests"] == point.batch)
    plain = full if full.any() else plain  # a cache may be too small for so many at once
    p50_s, p99_s = np.quantile(tpot_s, (0.5, 0.99)).tolist()
    return Measured(
        point,
        p50_s,
        p99_s,
        float(steps["duration_s"][plain].mean()),
        float(steps["active_experts"][plain].mean()),
    )


def by_batch(
    found: Sequence[Measured], arm: str, traffic: str, figure: str = "tpot_p50_s"
) -> dict[int, list[float]]:
    """Return a figure of an arm by rising batch, one for each replication."""
    batches: dict[int, list[float]] = {}
    for one in sorted(found, key=lambda one: one.point):
        if (one.point.arm, one.point.traffic) == (arm, traffic):
            batches.setdefault(one.point.batch, []).append(getattr(one, figure))
    return batches


def tpot_ratio(found: Sequence[Measured], arm: str, traffic: str) -> dict[int, Interval]:
    """Return median TPOT of an arm over that on demand, by batch, paired by replication."""
    mine, others = (by_batch(found, one, traffic) for one in (arm, ON_DEMAND))
    ratios = {batch: paired_ratio(mine[batch], others[batch]) for batch in mine}
    return {batch: ratio for batch, ratio in ratios.items() if ratio is not None}
