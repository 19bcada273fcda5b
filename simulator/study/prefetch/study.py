"""The study as a whole: train and replay, serve by batch, find the crossover, hand over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.experts.predictor import ExpertPredictor
from simulator.experts.recorded import read_routes, write_routes
from simulator.models.architecture import Architecture, experts_of
from simulator.models.catalog import load_architecture
from simulator.study.prefetch.canvases import RECIPES as CANVAS_RECIPES
from simulator.study.prefetch.canvases import Labelled, label_pixels
from simulator.study.prefetch.memory import Peaks, measure_memory
from simulator.study.prefetch.replay import windows
from simulator.study.prefetch.served import (
    AFTER,
    BEFORE,
    SWITCHED,
    TRAFFIC,
    UNPREDICTED,
    Measured,
    Serving,
    check_batches,
    crossover,
    predicted_distinct,
    serve,
)
from simulator.study.prefetch.shift import Question, Row, compare, train
from simulator.study.prefetch.traces import Traces, drawn_traces, split_traces

HANDED_OVER = "ce_auc_bank"
"""The recipe whose predictor is handed over."""

SERVED = ("ce", HANDED_OVER)
"""Recipes whose predictors serve."""

_STEPS = 150
"""Batches of each layer."""

_SEQUENCES, _TOKENS = 256, 32
"""Sequences and tokens of drawn routes of a model: what training in half a minute can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is studied.

    Parameters
    ----------
    question
        Training and replay.
    model
        Served in the event simulator; None: nothing is.
    trace, shifted
        Files of routes of the model before and after the change; None: drawn.
    hardware, link_bytes_per_s
        GPU that serves, and its host link; None: the GPU's own.
    view_size
        Features of a drafter for each layer of the model.
    batches, replications
        Of what is served.
    canvases
        Whether pixels are labelled too.
    workers
        Processes.
    """

    question: Question
    model: str | None = None
    trace: Path | None = None
    shifted: Path | None = None
    hardware: str = "gb200"
    link_bytes_per_s: float | None = None
    view_size: int = 16
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    replications: int = 2
    canvases: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        check_batches(self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedStudy:
    """What the event simulator said.

    Parameters
    ----------
    serving
        What was served.
    measured
        All runs.
    crossover
        Least batch from which on prefetching is no faster than on demand; None: it always is.
    most_distinct
        Distinct experts of a step, as predicted, from which the predictor is off.
    files
        Routes and predictors, by what they are.
    """

    serving: Serving
    measured: list[Measured]
    crossover: int | None
    most_distinct: float
    files: dict[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchStudy:
    """All that was found.

    Parameters
    ----------
    task
        What was asked.
    rows
        Recipes before and after the change.
    memory
        Of the trainer.
    served
        By batch; None without a model.
    labelled
        Pixels; empty if not asked for.
    """

    task: Task
    rows: list[Row]
    memory: list[Peaks]
    served: ServedStudy | None
    labelled: list[Labelled]


def run_count(task: Task) -> int:
    """Return the steps of progress: trainings, and runs of the simulator."""
    seeds = task.question.seeds
    count = seeds * len(task.question.recipes)
    if task.canvases:
        count += seeds * len(CANVAS_RECIPES)
    if task.model is not None:
        arms = len(SERVED) + len(UNPREDICTED) + 1
        count += arms * len(TRAFFIC) * len(task.batches) * task.replications
    return count


def study(task: Task, folder: Path, advance: Callable[[int], None]) -> PrefetchStudy:
    """Answer the whole question.

    Parameters
    ----------
    task
        What to do.
    folder
        Takes routes and predictors of a model.
    advance
        Told of each training and run (`run_count`).

    Raises
    ------
    SimulatorError
        If traces cannot be used, or the model cannot be served.
    """
    question, served, model = task.question, None, None
    if task.model is not None:
        model = load_architecture(task.model)
        question = _of_model(question, task, model)
    traces = None if model is None else _traces(task, question, model)
    recorded = None if task.trace is None else (lambda seed: traces)
    asked = task.question if recorded is None else question
    rows = compare(asked, advance, recorded)  # type: ignore[arg-type]
    if model is not None and traces is not None:
        served = _served(task, question, traces, model, folder, advance)
    seeds = range(question.first_seed, question.first_seed + question.seeds)
    labelled = label_pixels(CANVAS_RECIPES, seeds, advance) if task.canvases else []
    return PrefetchStudy(
        task=task, rows=rows, memory=measure_memory(), served=served, labelled=labelled
    )


def _of_model(question: Question, task: Task, model: Architecture) -> Question:
    """Return the question for routes of a model's shape."""
    moe = experts_of(model)
    archetype = replace(question.archetype, experts=moe.experts, top_k=moe.top_k)
    return replace(
        question,
        archetype=archetype,
        layers=model.moe_layers,
        sequences=_SEQUENCES,
        tokens=_TOKENS,
        view_size=task.view_size,
        effort=question.effort._replace(steps=_STEPS),
    )


def _traces(task: Task, question: Question, model: Architecture) -> Traces:
    if task.trace is None:
        return drawn_traces(
            question.archetype,
            question.layers,
            question.sequences,
            question.tokens,
            question.first_seed,
        )
    after = None if task.shifted is None else read_routes(task.shifted, model)
    return split_traces(read_routes(task.trace, model), after)


def _served(
    task: Task,
    question: Question,
    traces: Traces,
    model: Architecture,
    folder: Path,
    advance: Callable[[int], None],
) -> ServedStudy:
    """Write routes, train, serve, find the crossover, and serve with the switch."""
    folder.mkdir(parents=True, exist_ok=True)
    routes = {name: folder / f"routes_{name}.parquet" for name in TRAFFIC}
    for name, pool in ((BEFORE, traces.before), (AFTER, traces.after)):
        write_routes(pool, model.name, routes[name])
    predictors, files = {}, {}
    for name, chosen in question.chosen:
        if name in SERVED:
            predictors[name] = train(question, traces, chosen, question.first_seed)[0]
            files[name] = predictors[name].save(folder / f"predictor_{name}.npz")
    serving = Serving(
        words=_words(task, model),
        routes=routes,
        predictors=files,
        room=question.room,
        gamma=question.gamma,
        batches=task.batches,
        replications=task.replications,
    )
    measured = serve(serving, experts_of(model).experts, task.workers, advance)
    best = HANDED_OVER if HANDED_OVER in predictors else "ce"
    useless = crossover(measured, best)
    switched = _switched(predictors[best], traces, question, useless)
    path = switched.save(folder / "predictor.npz")
    last = replace(serving, predictors={SWITCHED: path}, unpredicted=())
    measured += serve(last, experts_of(model).experts, task.workers, advance)
    return ServedStudy(
        serving=serving,
        measured=measured,
        crossover=useless,
        most_distinct=switched.most_distinct,
        files={"predictor": path, **{f"routes_{name}": one for name, one in routes.items()}},
    )


def _switched(
    predictor: ExpertPredictor, traces: Traces, question: Question, useless: int | None
) -> ExpertPredictor:
    """Return the predictor with its switch at the crossover."""
    if useless is None:
        return predictor
    pool = traces.learned
    steps = windows(pool, question.gamma + 1)
    features = predictor.features_of(pool)
    below = predicted_distinct(predictor, features, steps, useless - 1) if useless > 1 else 0.0
    at = predicted_distinct(predictor, features, steps, useless)
    return replace(predictor, most_distinct=(below + at) / 2.0 if useless > 1 else 0.0)


def _words(task: Task, model: Architecture) -> tuple[str, ...]:
    link = task.link_bytes_per_s
    return (
        f"model={model.name}",
        f"hardware={task.hardware}",
        "hardware.tensor_parallel=1",
        "slo=none",
        "speculation=chat",
        "workload=fixed_batch",
        "workload.output_tokens=64",
        f"run.seed={task.question.first_seed}",
        *(() if link is None else (f"+experts.offload.host_bandwidth={link}",)),
    )
