"""The study as a whole: train and replay, serve by batch, find the crossover, hand over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulator.experts.recorded import read_routes
from simulator.models.architecture import Architecture
from simulator.models.catalog import load_architecture
from simulator.study.digit_images import load_digit_images
from simulator.study.executors import open_executor
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.canvases import RECIPES as CANVAS_RECIPES
from simulator.study.prefetch.canvases import Labelled, label_pixels
from simulator.study.prefetch.memory import Peaks, measure_memory
from simulator.study.prefetch.model_run import (
    ServedStudy,
    check_served,
    recipes_served,
    serve_model,
    served_jobs,
)
from simulator.study.prefetch.predictors import train
from simulator.study.prefetch.question import Question
from simulator.study.prefetch.shift import Row, compare, comparisons, traces_of
from simulator.study.prefetch.task import Task
from simulator.study.prefetch.traces import Recorded, check_recorded


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
    """Return the steps of progress: trainings, and runs of the simulator at the batches given."""
    count = comparisons(task.question)
    if task.canvases:
        count += task.question.seeds * len(CANVAS_RECIPES)
    if task.model is not None:
        count += served_jobs(task)
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
    if task.canvases:
        load_digit_images()  # says at once what is missing
    question, recorded, model = task.question, None, None
    if task.model is not None:
        model = load_architecture(task.model)
        check_served(task, model)
        recorded = _recorded(task, model)
    with open_executor("processes") as executor:
        workers = Workers(executor, task.workers, advance)
        traces, trained, served = None, {}, None
        if model is not None:
            traces = traces_of(question, recorded, question.first_seed)
            for name in recipes_served(task):
                chosen = question.recipe(name)
                trained[name] = train(question, traces, chosen, question.first_seed, workers)
        rows = compare(question, workers, recorded, trained)
        if model is not None and traces is not None:
            predictors = {name: one.predictor for name, one in trained.items()}
            served = serve_model(task, traces, predictors, model, folder, workers)
        labelled = []
        if task.canvases:
            labelled = label_pixels(CANVAS_RECIPES, _seeds(question), workers)
    return PrefetchStudy(
        task=task, rows=rows, memory=measure_memory(), served=served, labelled=labelled
    )


def _seeds(question: Question) -> range:
    return range(question.first_seed, question.first_seed + question.seeds)


def _recorded(task: Task, model: Architecture) -> Recorded | None:
    """Return the routes of the user's files; None where they are drawn."""
    if task.trace is None:
        return None
    after = None if task.shifted is None else read_routes(task.shifted, model)
    recorded = Recorded(read_routes(task.trace, model), after)
    check_recorded(recorded)
    return recorded
