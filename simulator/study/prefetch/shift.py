"""The main question: how a prefetcher must be trained to survive a change of workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.recorded import SHORTEST_TOKENS
from simulator.experts.sampling import Archetype
from simulator.streams import Streams
from simulator.study.prefetch.bank import BankSettings, Item
from simulator.study.prefetch.jobs import Workers
from simulator.study.prefetch.losses import RECIPES, Recipe, recipe
from simulator.study.prefetch.replay import Arm, Replayed, Room, ranking, replay
from simulator.study.prefetch.traces import (
    LEAST_SEQUENCES,
    Recorded,
    Traces,
    drawn_traces,
    items_of,
    split_traces,
)
from simulator.study.prefetch.training import Effort, Trained, train_on_items
from simulator.trace.statistics import Interval, mean_interval, ratio_of_means

ON_DEMAND = "on_demand"
"""Stands beside the recipes: no prefetch, all room for the last used."""

ORACLE = "oracle"
"""Stands beside them too: slots hold what the step needs, as far as they go."""

UNTRAINED = (ON_DEMAND, ORACLE)
"""What needs no training."""

LONG_TAIL = Archetype(
    experts=32, top_k=1, popularity_sd=1.3, request_sd=0.8, token_sd=0.5, persistence=0.8
)
"""The small instance (kind: assumed): experts whose popularities range over two orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is trained and served.

    Parameters
    ----------
    archetype, layers, sequences, tokens
        Of drawn routes (`traces.drawn_traces`).
    view_size, view_noise
        What a drafter sees (`experts.drafts.DraftView`).
    gamma
        Draft tokens; a step has one more.
    room
        What a layer has room for.
    recipes
        Names of `losses.RECIPES`.
    auc_weight, bank, effort
        How they are trained.
    seeds
        Repetitions, each with traces, view and training of its own.
    first_seed
        Seed of the first.
    """

    archetype: Archetype = LONG_TAIL
    layers: int = 1
    sequences: int = 256
    tokens: int = 32
    view_size: int = 16
    view_noise: float = 1.5
    gamma: int = 3
    room: Room = field(default_factory=lambda: Room(8, 2))
    recipes: tuple[str, ...] = RECIPES
    auc_weight: float = 4.0
    bank: BankSettings = field(default_factory=lambda: BankSettings(retrieved=0.3))
    effort: Effort = field(default_factory=Effort)
    seeds: int = 5
    first_seed: int = 0

    def __post_init__(self) -> None:
        for name in self.recipes:
            self.recipe(name)
        if len(set(self.recipes)) < len(self.recipes):
            raise ConfigError(f"recipes={','.join(self.recipes)} names one twice.")
        if "ce" not in self.recipes:
            raise ConfigError("recipes must have ce, which the others are compared with.")
        least = {"view_size": 1, "gamma": 1, "seeds": 1, "first_seed": 0}
        # Half of the sequences are learned from; a model's steps must find their tokens in one.
        least |= {"sequences": LEAST_SEQUENCES // 2, "tokens": max(self.gamma + 1, SHORTEST_TOKENS)}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name}={getattr(self, name)} must be {bound} or more.")
        if not 0.0 <= self.view_noise < np.inf or not 0.0 < self.auc_weight < np.inf:
            raise ConfigError(
                f"view_noise={self.view_noise} must be 0 or more, and "
                f"auc_weight={self.auc_weight} above 0, both finite."
            )
        if self.room.resident < self.archetype.top_k or self.room.slots < 1:
            raise ConfigError(
                f"resident={self.room.resident} must hold the {self.archetype.top_k} experts of a "
                f"token, and slots={self.room.slots} must be 1 or more."
            )
        if sum(self.room) > self.archetype.experts:
            raise ConfigError(
                f"resident={self.room.resident} and slots={self.room.slots} are more than the "
                f"{self.archetype.experts} experts of a layer."
            )

    def recipe(self, name: str) -> Recipe:
        """Return the recipe of a name."""
        return recipe(name, self.auc_weight, self.bank)


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


def compare(question: Question, workers: Workers, recorded: Recorded | None = None) -> list[Row]:
    """Train and serve every recipe in every repetition.

    Parameters
    ----------
    question
        What to do.
    workers
        Who does it, a recipe in a repetition at a time.
    recorded
        Routes that each repetition splits in its own way; None: each draws its own.
    """
    seeds = range(question.first_seed, question.first_seed + question.seeds)
    names = (*UNTRAINED, *question.recipes)
    jobs = [(question, recorded, seed, name) for seed in seeds for name in names]
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


def _row(job: tuple[Question, Recorded | None, int, str]) -> Row:
    question, recorded, seed, name = job
    traces = traces_of(question, recorded, seed)
    arm, missing, ranks = Arm(oracle=name == ORACLE), float("nan"), dict[str, float]()
    if name not in UNTRAINED:
        predictor, missing = train(question, traces, question.recipe(name), seed)
        ranks = ranking(traces.before, traces.copies, predictor)
        arm = Arm(predictor)
    before, after = (
        replay(pool, traces.copies, question.gamma + 1, question.room, arm)
        for pool in (traces.before, traces.after)
    )
    return Row(name, seed, before, after, ranks, missing)


def train(
    question: Question, traces: Traces, chosen: Recipe, seed: int, workers: Workers | None = None
) -> tuple[ExpertPredictor, float]:
    """Train a predictor layer by layer; return it and the share of the tail that batches lacked.

    Parameters
    ----------
    question, traces
        How, and on what.
    chosen
        The recipe.
    seed
        Of the view and of the training.
    workers
        Who does it, a layer at a time; None: this process.
    """
    pool = traces.learned
    recorded = pool.features is not None
    view = DraftView(question.view_size, question.view_noise, seed)
    if pool.features is not None:
        view = DraftView(pool.features.shape[1], 0.0, seed)
    features = view.features(pool) if pool.features is None else pool.features
    jobs = [
        (items, chosen, question.effort, seed, layer)
        for layer, items in enumerate(items_of(pool, features))
    ]
    trained = (
        [_train_layer(job) for job in jobs] if workers is None else workers.run(_train_layer, jobs)
    )
    stacked = zip(*(one.mlp.parameters for one in trained), strict=True)
    parameters = tuple(np.stack(one) for one in stacked)
    shape = (pool.layers, pool.experts, pool.top_k)
    predictor = ExpertPredictor(parameters, *shape, view=view, recorded=recorded)
    return predictor, float(np.mean([one.missing_tail for one in trained]))


def _train_layer(job: tuple[list[Item], Recipe, Effort, int, int]) -> Trained:
    items, chosen, effort, seed, layer = job
    return train_on_items(items, chosen, effort, Streams(seed).block("training", layer))


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
    return ratio_of_means(*(figures(rows, one, when, "misses") for one in (name, "ce")))


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
