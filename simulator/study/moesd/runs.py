"""MoESD's experiment (arXiv 2505.19645) as runs of the simulator: full batches on 2 x A800."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from simulator.config import Config, HardwareConfig, RunConfig
from simulator.costs.engine import Engine
from simulator.models.architecture import Architecture
from simulator.models.catalog import load_architecture
from simulator.scenario import Scenario, build
from simulator.serving.cluster import serve
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.theory import expected_tokens_per_round
from simulator.streams import Streams
from simulator.study.workers import in_processes
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.schema import ITERATIONS
from simulator.workload.config import WorkloadConfig

PROMPT_TOKENS, OUTPUT_TOKENS = 150, 300
"""Lengths of every request (kind: assumed): the paper's HumanEval prompts have 38 to 391 tokens;
its outputs are not stated."""

CONTEXT_TOKENS = PROMPT_TOKENS + OUTPUT_TOKENS // 2
"""Mean cache length of such requests."""

ROUNDS = 6000
"""Draft-and-verify rounds that a run has at least; tokens per round are then known to half a
percent."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: a batch of requests at a draft length.

    Parameters
    ----------
    model
        Of the catalogue; it drafts with its usual drafter.
    batch
        Requests in flight.
    gamma
        Draft length; 0 decodes plainly.
    alpha
        Acceptance rate; of no effect at gamma 0.
    top_k
        Experts per token that the router is set to; None leaves the model's own.
    """

    model: str
    batch: int
    gamma: int = 0
    alpha: float = 0.0
    top_k: int | None = None

    @property
    def baseline(self) -> Cell:
        """The plain run that it is compared with."""
        return replace(self, gamma=0, alpha=0.0)


def architecture(model: str, top_k: int | None = None) -> Architecture:
    """Return a model, its router set to `top_k` experts per token if that is given."""
    target = load_architecture(model)
    if top_k is None or target.moe is None:
        return target
    return replace(target, moe=replace(target.moe, top_k=top_k))


def scenario(cell: Cell, engine: Engine) -> Scenario:
    """Build the deployment of a cell: two A800 with tensor parallelism, the drafter on one."""
    requests = cell.batch
    if cell.gamma:
        tokens = float(expected_tokens_per_round(cell.alpha, cell.gamma))
        requests = max(2 * cell.batch, math.ceil(ROUNDS * tokens / OUTPUT_TOKENS))
    workload = WorkloadConfig(
        kind="closed_loop",
        concurrency=cell.batch,
        prompt_tokens=PROMPT_TOKENS,
        output_tokens=OUTPUT_TOKENS,
    )
    config = Config(
        model=architecture(cell.model, cell.top_k),
        hardware=HardwareConfig(gpu="a800_sxm", tensor_parallel=2),
        workload=workload,
        speculation=SpeculationConfig(gamma=cell.gamma, alpha=cell.alpha),
        run=RunConfig(requests=requests, replications=1, workers=1),
    )
    return build(config, engine)


def token_rate(cell: Cell, engine: Engine) -> float:
    """Serve a cell event by event; return tokens per second while the whole batch decodes.

    Steps that hold prompts, or in which requests have left, do not count: the paper times full
    batches.
    """
    built, steps = scenario(cell, engine), KeptRows(ITERATIONS)
    serve(
        built.deployment(cell.gamma),
        built.router(),
        built.workload,
        built.acceptance,
        Streams(built.config.run.seed),
        requests_trace=DroppedRows(),
        iterations_trace=steps,
    )
    columns = steps.columns()
    full = (columns["decode_requests"] == cell.batch) & (columns["prefill_tokens"] == 0)
    return float(columns["emitted_tokens"][full].sum() / columns["duration_s"][full].sum())


def token_rates(
    plans: Mapping[str, tuple[Engine, Iterable[Cell]]],
    workers: int,
    advance: Callable[[float], None],
) -> dict[str, dict[Cell, float]]:
    """Serve cells under several engines, in this process or in several.

    Parameters
    ----------
    plans
        By label: an engine and its cells; a cell that comes twice is served once.
    workers
        Processes; the rates do not depend on them.
    advance
        Told 1 after each cell.

    Returns
    -------
    dict
        By label and cell, tokens per second.
    """
    todo = [
        (label, cell, engine)
        for label, (engine, cells) in plans.items()
        for cell in dict.fromkeys(cells)
    ]
    jobs = [(cell, engine) for _, cell, engine in todo]
    rates: dict[str, dict[Cell, float]] = {label: {} for label in plans}
    for (label, cell, _), rate in zip(todo, _each(jobs, workers), strict=True):
        rates[label][cell] = rate
        advance(1)
    return rates


def _each(jobs: Sequence[tuple[Cell, Engine]], workers: int) -> Iterable[float]:
    if workers == 1:
        return map(_serve, jobs)
    return in_processes(_serve, jobs, workers, _ready, ())


def _serve(job: tuple[Cell, Engine]) -> float:
    return token_rate(*job)


def _ready() -> None:
    """Set nothing up: a worker reads tables when it first needs them."""
