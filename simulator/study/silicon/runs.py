"""Published measurements predicted: each deployment built, its load simulated by request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.config import Config, HardwareConfig
from simulator.costs.engine import Engine
from simulator.errors import SimulatorError
from simulator.models.catalog import load_architecture
from simulator.scenario import Scenario, build
from simulator.serving.cluster import serve
from simulator.serving.config import SchedulerConfig
from simulator.speculation.config import SpeculationConfig
from simulator.streams import Streams
from simulator.study.silicon.rows import SiliconRow
from simulator.study.workers import in_processes
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.schema import REQUESTS
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the simulator says of one measured deployment; times in seconds, means over requests.

    Parameters
    ----------
    ttft_s, tpot_s
        As the client of the measurement sees them; None where the deployment cannot be built.
    reason
        Why it cannot; empty otherwise.
    """

    ttft_s: float | None
    tpot_s: float | None
    reason: str = ""


PROFILES = {"vllm": "vllm_async"}
"""Engine profiles that stand for the engines of the sample, where the names differ."""

Job = list[SiliconRow]
"""Rows of one deployment at one size: they share step times."""


def jobs(rows: Iterable[SiliconRow]) -> list[Job]:
    """Group rows that one compiled cost model serves; inputs that repeat are predicted once."""
    groups: dict[tuple[object, ...], dict[tuple[object, ...], SiliconRow]] = {}
    for row in rows:
        key = (row.deployment, row.tensor, row.data, row.expert)
        groups.setdefault(key, {}).setdefault(row.inputs, row)
    return [list(group.values()) for group in groups.values()]


def predict_jobs(todo: Sequence[Job], workers: int) -> Iterator[list[Prediction]]:
    """Predict job after job, in this process or in several; results come in order."""
    if workers == 1:
        yield from map(predict_job, todo)
    else:
        yield from in_processes(predict_job, todo, workers, _nothing, ())


def _nothing() -> None:
    """Start a worker that needs no preparation."""


def predict_job(rows: Job, engine: Engine | None = None) -> list[Prediction]:
    """Predict the rows of one job, with an engine profile other than the shipped one if given."""
    predictions: list[Prediction] = []
    scenario: Scenario | None = None
    for row in rows:
        try:
            scenario = scenario or build(scenario_config(_largest(rows)), engine)
            predictions.append(_predict(scenario, row))
        except SimulatorError as error:
            predictions.append(Prediction(None, None, _short(error)))
    return predictions


def _largest(rows: Job) -> SiliconRow:
    """Return the row with the most users: what holds it holds the others."""
    return max(rows, key=lambda row: row.users)


def _short(error: SimulatorError) -> str:
    """Return a class of refusals: the first sentence without its numbers' company."""
    return f"{type(error).__name__}: {str(error).split('. ')[0]}"


def scenario_config(row: SiliconRow) -> Config:
    """Return the scenario that reproduces a row; `moesim simulate` takes the same settings."""
    formats: dict[str, Any] = dict(row.formats)
    hardware = HardwareConfig(
        gpu=row.gpu,
        engine=PROFILES.get(row.engine, row.engine),
        tensor_parallel=row.tensor,
        data_parallel=row.data,
        expert_parallel=row.expert,
    )
    return Config(
        model=replace(load_architecture(row.model), **formats),
        hardware=hardware,
        workload=workload_config(row),
        speculation=SpeculationConfig(gamma=0, alpha=0.0),
        scheduler=SchedulerConfig(
            max_num_seqs=row.users,
            max_batched_tokens=row.batched_tokens,
            recv_interval=row.recv_interval,
        ),
    )


def workload_config(row: SiliconRow) -> WorkloadConfig:
    """Return the load of a row: a closed loop of its users."""
    return WorkloadConfig(
        kind="closed_loop",
        concurrency=row.users,
        prompt_tokens=row.prompt_tokens,
        output_tokens=row.output_tokens,
        random_range_ratio=row.random_range_ratio,
    )


def _predict(scenario: Scenario, row: SiliconRow) -> Prediction:
    requests = KeptRows(REQUESTS)
    deployment = scenario.deployment(0)
    limits = replace(
        deployment.limits,
        recv_interval=row.recv_interval,
        max_batched_tokens=row.data * row.batched_tokens,
    )
    serve(
        replace(deployment, limits=limits),
        scenario.router(),
        build_workload(workload_config(row), row.requests),
        scenario.acceptance,
        Streams(scenario.config.run.seed),
        requests_trace=requests,
        iterations_trace=DroppedRows(),
    )
    columns = requests.columns()
    first_s, last_s = columns["first_token_s"], columns["finish_s"]
    steps = columns["output_tokens"] - 1
    tpot_s = (last_s - first_s) / steps
    ttft_s = first_s - columns["arrival_s"]
    # A server that sends tokens in bundles shows the first when its bundle is full.
    held = min(row.stream_interval, row.output_tokens) - 1
    return Prediction(
        float(np.mean(ttft_s + held * tpot_s)), float(np.mean(tpot_s * (steps - held) / steps))
    )
