"""The main question: how a prefetcher must be trained to survive a change of workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.predictors import TrainedPredictor, train
from simulator.study.prefetch.question import Question
from simulator.study.prefetch.replay import Arm, Replayed, ranking, replay
from simulator.study.prefetch.traces import (
    Recorded,
    Traces,
    drawn_traces,
    split_traces,
)
from simulator.trace.statistics import Interval, mean_interval, ratio_of_means

ON_DEMAND = "on_demand"
"""Stands beside the recipes: no prefetch, all room for the last used."""

ORACLE = "oracle"
"""Stands beside them too: slots hold what the step needs, as far as they go."""

UNTRAINED = (ON_DEMAND, ORACLE)
"""What needs no training."""


class Row(NamedTuple):
    """A recipe in one repetition.

    Parameters
    ----------
    recipe, seed
        Which.
    before, after
        What it is worth on the traffic that it learned, and after the change.
    ranks
        Areas under ROC curves of head, mid and tail experts (`replay.ranking`), before.
    missing_tail
        Share of pairs of training batch and tail expert without a token; NaN without training.
    """

    recipe: str
    seed: int
    before: Replayed
    after: Replayed
    ranks: dict[str, float]
    missing_tail: float


def compare(
    question: Question,
    workers: Workers,
    recorded: Recorded | None = None,
    trained: Mapping[str, TrainedPredictor] | None = None,
) -> list[Row]:
    """Train and serve every recipe in every repetition.

    Parameters
    ----------
    question
        What to do.
    workers
        Who does it, a recipe in a repetition at a time.
    recorded
        Routes that each repetition splits in its own way; None: each draws its own.
    trained
        What is trained already of the first repetition.
    """
    seeds = range(question.first_seed, question.first_seed + question.seeds)
    names = (*UNTRAINED, *question.recipes)
    known = {(question.first_seed, name): one for name, one in (trained or {}).items()}
    jobs = [
        (question, recorded, seed, name, known.get((seed, name)))
        for seed in seeds
        for name in names
    ]
    return workers.run(_row, jobs)


def comparisons(question: Question) -> int:
    """Return how many jobs `compare` has."""
    return question.seeds * (len(UNTRAINED) + len(question.recipes))


def traces_of(question: Question, recorded: Recorded | None, seed: int) -> Traces:
    """Return the traces of a repetition: split of recorded routes, or drawn."""
    if recorded is not None:
        return split_traces(recorded, seed)
    size = question.layers, question.sequences, question.tokens
    return drawn_traces(question.archetype, *size, seed)


def _row(job: tuple[Question, Recorded | None, int, str, TrainedPredictor | None]) -> Row:
    question, recorded, seed, name, known = job
    traces = traces_of(question, recorded, seed)
    arm, missing, ranks = Arm(oracle=name == ORACLE), float("nan"), dict[str, float]()
    if name not in UNTRAINED:
        predictor, missing = known or train(question, traces, question.recipe(name), seed)
        ranks = ranking(traces.before, traces.copies, predictor)
        arm = Arm(predictor)
    before, after = (
        replay(pool, traces.copies, question.gamma + 1, question.room, arm)
        for pool in (traces.before, traces.after)
    )
    return Row(name, seed, before, after, ranks, missing)


def figures(rows: Sequence[Row], name: str, when: str, field: str) -> list[float]:
    """Return a figure of a recipe, one for each repetition.

    Parameters
    ----------
    rows
        From `compare`.
    name
        The recipe.
    when
        ``before`` or ``after`` the change.
    field
        Of `Replayed`.
    """
    return [getattr(getattr(row, when), field) for row in rows if row.recipe == name]


def misses_ratio(rows: Sequence[Row], name: str, when: str) -> Interval | None:
    """Return misses of a recipe over those of cross-entropy, paired by repetition.

    None where cross-entropy misses nothing.
    """
    return ratio_of_means(figures(rows, name, when, "misses"), figures(rows, "ce", when, "misses"))


def spared_share(rows: Sequence[Row], name: str, when: str) -> Interval | None:
    """Return how much of what the oracle spares a recipe spares, of the misses on demand.

    One is a predictor that never errs, zero what is no better than the last used.
    """
    mine, most, least = (figures(rows, one, when, "misses") for one in (name, ORACLE, ON_DEMAND))
    return ratio_of_means(
        [base - one for base, one in zip(least, mine, strict=True)],
        [base - one for base, one in zip(least, most, strict=True)],
    )


def coverage_difference(rows: Sequence[Row], name: str, when: str) -> Interval:
    """Return coverage of a recipe less that of cross-entropy, paired by repetition."""
    mine, plain = (figures(rows, one, when, "coverage") for one in (name, "ce"))
    return mean_interval([one - other for one, other in zip(mine, plain, strict=True)])
