"""What prefetching is worth in the event simulator: TPOT by batch, before and after a change.

Arms serve the same closed loop on recorded routes, at equal memory for experts but the last:

- ``on_demand``: ``C + S`` experts of a layer stay, the last used;
- recipes (``ce``, ``ce_auc_bank``, ...): C stay, and a predictor so trained fills S slots;
- ``switched``: the last recipe's predictor with the switch that the crossover sets;
- ``resident``: all experts are on the GPU, which is what a larger GPU would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.compose import compose
from simulator.config import Config
from simulator.errors import ConfigError
from simulator.experts.config import LEARNED
from simulator.experts.predictor import ExpertPredictor
from simulator.scenario import build
from simulator.serving.cluster import Cluster
from simulator.streams import Streams
from simulator.study.executors import open_executor
from simulator.study.prefetch.replay import Room
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.latencies import happened, times_s
from simulator.trace.schema import REQUESTS

RESIDENT = "resident"
"""The arm with all experts on the GPU."""

SWITCHED = "switched"
"""The arm whose predictor is off beyond the crossover."""

UNPREDICTED = (ON_DEMAND, RESIDENT)
"""Arms without a predictor."""

BEFORE, AFTER = TRAFFIC = ("before", "after")
"""Traffic as learned, and after the change."""

_PER_USER = 8
"""Requests of a user in a run: long enough that prompts and the first steps weigh little."""

_STEPS = 64
"""Steps over which the chances that a predictor sums up are averaged."""


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
    """Time per output token of a run, s: median and 99th percentile over its requests."""

    point: Point
    tpot_p50_s: float
    tpot_p99_s: float


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
    gamma
        Draft tokens.
    batches, replications
        Users of closed loops, and repetitions.
    unpredicted
        Arms beside those of predictors.
    """

    words: tuple[str, ...]
    routes: dict[str, Path]
    predictors: dict[str, Path]
    room: Room
    gamma: int = 3
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    replications: int = 2
    unpredicted: tuple[str, ...] = UNPREDICTED

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms."""
        return (*self.unpredicted, *self.predictors)

    def config(self, arm: str, traffic: str, batch: int, experts: int) -> Config:
        """Return the configuration of an arm, of a model with so many experts a layer."""
        resident = {ON_DEMAND: sum(self.room), RESIDENT: experts}.get(arm, self.room.resident)
        words = [
            *self.words,
            f"speculation.gamma={self.gamma}",
            "experts=offloaded",
            "experts.fidelity=sampled",
            "routing=recorded",
            f"routing.path='{self.routes[traffic]}'",
            f"workload.concurrency={batch}",
            f"scheduler.max_num_seqs={batch}",
            f"run.requests={_PER_USER * batch}",
            f"experts.offload.resident_experts={resident}",
        ]
        if arm in self.predictors:
            words += [
                f"experts.offload.prefetch={LEARNED}",
                f"experts.offload.prefetch_experts={self.room.slots}",
                f"experts.offload.predictor='{self.predictors[arm]}'",
            ]
        return compose(words)


def serve(
    serving: Serving, experts: int, workers: int, advance: Callable[[int], None]
) -> list[Measured]:
    """Run all arms on all traffic at all batches; results in a fixed order.

    Parameters
    ----------
    serving
        What is served.
    experts
        Experts of a layer of the model.
    workers
        Processes.
    advance
        Told of every run that ended.
    """
    jobs = [
        (Point(arm, traffic, batch, number), serving.config(arm, traffic, batch, experts))
        for traffic in serving.routes
        for batch in serving.batches
        for arm in serving.arms
        for number in range(serving.replications)
    ]
    found: dict[int, Measured] = {}
    with open_executor("processes") as executor:
        for position, measured in executor.run(_run, jobs, workers):
            found[position] = measured
            advance(1)
    return [found[position] for position in range(len(jobs))]


def _run(job: tuple[Point, Config]) -> Measured:
    point, config = job
    scenario, requests = build(config), KeptRows(REQUESTS)
    Cluster(
        scenario.cluster(config.speculation.gamma),
        scenario.router(),
        scenario.workload,
        scenario.acceptance,
        Streams(config.run.seed, point.replication),
        requests_trace=requests,
        iterations_trace=DroppedRows(),
    ).run()
    # The first request of each user meets an empty cluster.
    tpot_s = happened(times_s(requests.columns())["tpot_s"][point.batch :])
    return Measured(point, *(float(value) for value in np.quantile(tpot_s, (0.5, 0.99))))


def by_batch(
    found: Sequence[Measured], arm: str, traffic: str, figure: str = "tpot_p50_s"
) -> dict[int, list[float]]:
    """Return a figure of an arm by batch, one for each replication."""
    batches: dict[int, list[float]] = {}
    for one in found:
        if (one.point.arm, one.point.traffic) == (arm, traffic):
            batches.setdefault(one.point.batch, []).append(getattr(one, figure))
    return batches


def crossover(found: Sequence[Measured], arm: str, traffic: str = BEFORE) -> int | None:
    """Return the least batch from which on an arm is no faster than on demand; None: it always is.

    Parameters
    ----------
    found
        Runs.
    arm, traffic
        Which arm, and on what.

    Examples
    --------
    >>> def runs(arm, times):
    ...     return [Measured(Point(arm, BEFORE, b, 0), t, t) for b, t in times.items()]
    >>> on_demand = runs(ON_DEMAND, {1: 1.0, 2: 2.0, 4: 4.0})
    >>> crossover(on_demand + runs("ce", {1: 0.9, 2: 2.1, 4: 4.1}), "ce")
    2
    """
    mine, others = (by_batch(found, one, traffic) for one in (arm, ON_DEMAND))
    useless = None
    for batch in sorted(mine, reverse=True):
        if np.mean(mine[batch]) < np.mean(others[batch]):
            break
        useless = batch
    return useless


def predicted_distinct(
    predictor: ExpertPredictor,
    features: NDArray[np.float64],
    steps: NDArray[np.int64],
    batch: int,
) -> float:
    """Return the distinct experts of a step that a predictor expects at a batch, mean over layers.

    Parameters
    ----------
    predictor
        Who is asked.
    features
        Of the tokens of a pool, shape (tokens, d).
    steps
        Tokens of the steps of single requests (`replay.windows`).
    batch
        Requests, drawn from these.
    """
    draws = Streams(0).block("requests of a step", batch)
    needed = [
        predictor.needed(features[steps[draws.integers(len(steps), size=batch)].ravel()])
        for _ in range(_STEPS)
    ]
    return float(np.mean([one.sum(axis=1).mean() for one in needed]))


def check_batches(batches: Sequence[int]) -> None:
    """Refuse batches that are none, or not in order.

    Raises
    ------
    ConfigError
        If so.
    """
    if not batches or min(batches) < 1 or list(batches) != sorted(set(batches)):
        given = ",".join(map(str, batches))
        raise ConfigError(f"batches={given} must be whole numbers from 1 on, rising.")
