"""A model in the event simulator: trained for, served by batch, its crossover found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simulator.compose import compose
from simulator.errors import CapacityError, InvariantError
from simulator.experts.pool import RoutePool
from simulator.experts.predictor import ExpertPredictor, load_predictor
from simulator.experts.recorded import write_routes
from simulator.experts.residency import lru_misses
from simulator.hardware.gpu import load_gpu
from simulator.models.architecture import Architecture, experts_of
from simulator.models.catalog import load_architecture
from simulator.quantities import names_a_file
from simulator.scenario import build
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.crossover import crossover, search, with_switch
from simulator.study.prefetch.replay import windows
from simulator.study.prefetch.served import (
    AFTER,
    BEFORE,
    MOST,
    RESIDENT,
    SWITCHED,
    TRAFFIC,
    UNPREDICTED,
    Measured,
    Serving,
    by_batch,
    serve,
)
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.study.prefetch.task import Task
from simulator.study.prefetch.theory import (
    Hits,
    Odds,
    count_hits,
    distinct_alike,
    exposed_share,
    kept_hits,
    step_chances,
)
from simulator.study.prefetch.traces import Ints, Traces

BASELINES = ("ce", "ce_weighted")
"""Recipes that serve beside the one that is handed over, where they are trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedStudy:
    """What the event simulator said.

    Parameters
    ----------
    serving
        What was served, but for the arm with the switch.
    layers
        MoE layers of the model.
    hand_over
        The recipe whose predictor is handed over.
    measured
        All runs.
    odds
        By traffic, what theory says at each batch.
    most_distinct
        Distinct experts of a step, as predicted, from which the predictor is off.
    files
        Routes and predictors, by what they are.
    """

    serving: Serving
    layers: int
    hand_over: str
    measured: list[Measured]
    odds: dict[str, list[Odds]]
    most_distinct: float
    files: dict[str, Path]

    @property
    def batches(self) -> list[int]:
        """All batches that were served, rising."""
        return sorted({one.point.batch for one in self.measured})

    @property
    def crossover(self) -> int | None:
        """Of the predictor that is handed over, on the traffic that it learned."""
        return crossover(self.measured, self.hand_over, BEFORE)


def check_served(task: Task, model: Architecture) -> None:
    """Refuse what the event simulator would refuse, before anything is trained.

    Raises
    ------
    SimulatorError
        If GPU, link, model and room for experts do not go together.
    """
    load_gpu(task.hardware)  # names the nearest
    _build(task, model, sum(task.question.room))


def _build(task: Task, model: Architecture, resident: int) -> None:
    """Build what serves with so many resident experts at the largest batch."""
    words = (
        *_words(task, model),
        f"speculation.gamma={task.question.gamma}",
        f"scheduler.max_num_seqs={MOST}",
        "experts=offloaded",
        "experts.fidelity=sampled",
        f"experts.offload.resident_experts={resident}",
    )
    build(compose(words)).cluster(task.question.gamma)


def _unpredicted(task: Task, model: Architecture) -> tuple[str, ...]:
    """Return the arms without a predictor; the GPU may be too small for all experts."""
    try:
        _build(task, model, experts_of(model).experts)
    except CapacityError:
        return (ON_DEMAND,)
    return UNPREDICTED


def recipes_served(task: Task) -> list[str]:
    """Return the recipes whose predictors serve."""
    names = [name for name in BASELINES if name in task.question.recipes]
    return list(dict.fromkeys((*names[:1], task.hand_over, *names[1:])))


def served_jobs(task: Task) -> int:
    """Return the units of work of `serve_model` if it serves the batches given, and no more."""
    recipes, layers = len(recipes_served(task)), load_architecture(str(task.model)).moe_layers
    arms = len(UNPREDICTED) + recipes + 1
    runs = arms * len(TRAFFIC) * len(task.batches) * task.replications
    # Of the recipes that serve, the first repetition is trained before the others.
    return recipes * layers + runs + len(TRAFFIC) * len(task.batches)


def serve_model(
    task: Task,
    traces: Traces,
    trained: Mapping[str, ExpertPredictor],
    model: Architecture,
    folder: Path,
    workers: Workers,
) -> ServedStudy:
    """Write routes and predictors, serve, find the crossover, and serve with the switch.

    Parameters
    ----------
    task
        What is served, and where.
    traces
        Routes of the model.
    trained
        Predictors by recipe (`recipes_served`).
    model
        The model.
    folder
        Takes routes and predictors.
    workers
        Who does it.
    """
    pools = {BEFORE: traces.before, AFTER: traces.after}
    serving = _serving(task, pools, trained, model, folder)
    measured = search(
        lambda batches: serve(serving, batches, workers), task.batches, task.hand_over
    )
    switched = _switched(trained[task.hand_over], traces, task, measured)
    path = switched.save(folder / "predictor.npz")
    batches = sorted({one.point.batch for one in measured})
    last = replace(serving, predictors={SWITCHED: path}, unpredicted=())
    odds = {
        name: _odds(serving, pool, traces, name, measured, workers) for name, pool in pools.items()
    }
    return ServedStudy(
        serving=serving,
        layers=model.moe_layers,
        hand_over=task.hand_over,
        measured=measured + serve(last, batches, workers),
        odds=odds,
        most_distinct=switched.most_distinct,
        files={
            **{f"predictor_{name}": one for name, one in serving.predictors.items()},
            **{f"routes_{name}": one for name, one in serving.routes.items()},
            "predictor": path,
        },
    )


def _serving(
    task: Task,
    pools: Mapping[str, RoutePool],
    trained: Mapping[str, ExpertPredictor],
    model: Architecture,
    folder: Path,
) -> Serving:
    """Write routes and predictors, and return what serves with them."""
    folder.mkdir(parents=True, exist_ok=True)
    routes = {name: folder / f"routes_{name}.parquet" for name in pools}
    for name, pool in pools.items():
        write_routes(pool, model.name, routes[name])
    return Serving(
        words=_words(task, model),
        routes=routes,
        predictors={
            name: one.save(folder / f"predictor_{name}.npz") for name, one in trained.items()
        },
        room=task.question.room,
        experts=experts_of(model).experts,
        gamma=task.question.gamma,
        replications=task.replications,
        unpredicted=_unpredicted(task, model),
    )


def _switched(
    predictor: ExpertPredictor,
    traces: Traces,
    task: Task,
    measured: Sequence[Measured],
) -> ExpertPredictor:
    """Return the predictor with its switch at the crossover."""
    steps = windows(traces.learned, task.question.gamma + 1)
    features = predictor.features_of(traces.learned)
    useless = crossover(measured, task.hand_over)
    served = {one.point.batch for one in measured}
    useful = max((batch for batch in served if useless and batch < useless), default=None)
    return with_switch(predictor, features, steps, useful, useless)


def _odds(
    serving: Serving,
    pool: RoutePool,
    traces: Traces,
    traffic: str,
    measured: Sequence[Measured],
    workers: Workers,
) -> list[Odds]:
    """Return what theory says of prefetching on some traffic, batch by batch."""
    tokens, slots = serving.gamma + 1, serving.room.slots
    arm = RESIDENT if RESIDENT in serving.unpredicted else ON_DEMAND
    steps_s = by_batch(measured, arm, traffic, "step_s")
    offload = build(serving.config(ON_DEMAND, traffic)).step_model.offload
    if offload is None:
        raise InvariantError("a scenario with experts in host memory has no price for them.")
    counted = workers.run(
        _hits, [(pool, traces.copies, tokens, serving, batch) for batch in steps_s]
    )
    link = pool.layers, slots, offload.expert_s
    found = []
    for (batch, times_s), hits in zip(steps_s.items(), counted, strict=True):
        chances = step_chances(pool, tokens, batch)
        step_s = float(np.mean(times_s))
        if arm == ON_DEMAND:  # less what it waits for experts
            missing = lru_misses(chances, sum(serving.room))
            step_s = max(step_s - pool.layers * float(missing) * offload.expert_s, 0.0)
        found.append(
            Odds(
                batch=batch,
                distinct=float(chances.sum(axis=1).mean()),
                alike=distinct_alike(pool.experts, pool.top_k, tokens * batch),
                kept=hits.kept,
                independent=kept_hits(chances, serving.room),
                exposed=exposed_share(*link, step_s),
                hits=hits.prefetched,
            )
        )
    return found


def _hits(job: tuple[RoutePool, Ints, int, Serving, int]) -> Hits:
    pool, copies, tokens, serving, batch = job
    predictors = {arm: load_predictor(path) for arm, path in serving.predictors.items()}
    return count_hits(pool, copies, tokens, serving.room, predictors, batch)


def _words(task: Task, model: Architecture) -> tuple[str, ...]:
    link = task.link_bytes_per_s
    gpu = f"'{task.hardware}'" if names_a_file(task.hardware) else task.hardware
    return (
        f"model={model.name}",
        f"hardware.gpu={gpu}",
        "hardware.tensor_parallel=1",
        "slo=none",
        "speculation=chat",
        "workload=fixed_batch",
        "workload.output_tokens=64",
        f"run.seed={task.question.first_seed}",
        *(() if link is None else (f"experts.offload.host_bandwidth={link}",)),
    )
