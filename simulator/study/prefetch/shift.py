"""The main question: how a prefetcher must be trained to survive a change of workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.sampling import Archetype
from simulator.streams import Streams
from simulator.study.prefetch.bank import BankSettings
from simulator.study.prefetch.losses import RECIPES, Recipe, recipe
from simulator.study.prefetch.replay import Replayed, Room, ranking, replay
from simulator.study.prefetch.traces import Traces, drawn_traces, items_of
from simulator.study.prefetch.training import Effort, train_on_items
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

ON_DEMAND = "on_demand"
"""Stands beside the recipes: no prefetch, all room for the last used."""

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
    view_noise: float = 0.7
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
            recipe(name, self.auc_weight, self.bank)
        if "ce" not in self.recipes:
            raise ConfigError("recipes must have ce, which the others are compared with.")
        least = {"view_size": 1, "gamma": 1, "seeds": 1, "first_seed": 0, "tokens": self.gamma + 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name}={getattr(self, name)} must be {bound} or more.")
        if not self.view_noise >= 0.0 or not self.auc_weight > 0.0:
            raise ConfigError(
                f"view_noise={self.view_noise} must be 0 or more, and "
                f"auc_weight={self.auc_weight} above 0."
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

    @property
    def chosen(self) -> list[tuple[str, Recipe]]:
        """Recipes by name."""
        return [(name, recipe(name, self.auc_weight, self.bank)) for name in self.recipes]


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
        Share of pairs of training batch and tail expert without a token; NaN on demand.
    """

    recipe: str
    seed: int
    before: Replayed
    after: Replayed
    ranks: dict[str, float]
    missing_tail: float


def compare(
    question: Question,
    advance: Callable[[int], None],
    traces: Callable[[int], Traces] | None = None,
) -> list[Row]:
    """Train and serve every recipe in every repetition.

    Parameters
    ----------
    question
        What to do.
    advance
        Told of every recipe that is done.
    traces
        From a seed to traces; None: drawn ones.
    """
    rows = []
    for seed in range(question.first_seed, question.first_seed + question.seeds):
        found = _drawn(question, seed) if traces is None else traces(seed)
        rows.append(_on_demand(question, found, seed))
        for name, chosen in question.chosen:
            predictor, missing = train(question, found, chosen, seed)
            before, after = (
                replay(pool, found.copies, question.gamma + 1, question.room, predictor)
                for pool in (found.before, found.after)
            )
            ranks = ranking(found.before, found.copies, predictor)
            rows.append(Row(name, seed, before, after, ranks, missing))
            advance(1)
    return rows


def train(
    question: Question, traces: Traces, chosen: Recipe, seed: int
) -> tuple[ExpertPredictor, float]:
    """Train a predictor layer by layer; return it and the share of the tail that batches lacked."""
    pool = traces.learned
    recorded = pool.features is not None
    view = DraftView(question.view_size, question.view_noise, seed)
    if pool.features is not None:
        view = DraftView(pool.features.shape[1], 0.0, seed)
    features = view.features(pool) if pool.features is None else pool.features
    trained = [
        train_on_items(items, chosen, question.effort, Streams(seed).block("training", layer))
        for layer, items in enumerate(items_of(pool, features))
    ]
    stacked = zip(*(one.mlp.parameters for one in trained), strict=True)
    parameters = tuple(np.stack(one) for one in stacked)
    shape = (pool.layers, pool.experts, pool.top_k)
    predictor = ExpertPredictor(parameters, *shape, view=view, recorded=recorded)
    return predictor, float(np.mean([one.missing_tail for one in trained]))


def _drawn(question: Question, seed: int) -> Traces:
    return drawn_traces(
        question.archetype, question.layers, question.sequences, question.tokens, seed
    )


def _on_demand(question: Question, traces: Traces, seed: int) -> Row:
    before, after = (
        replay(pool, traces.copies, question.gamma + 1, question.room, None)
        for pool in (traces.before, traces.after)
    )
    return Row(ON_DEMAND, seed, before, after, {}, float("nan"))


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


def misses_ratio(rows: Sequence[Row], name: str, when: str) -> Interval:
    """Return misses of a recipe over those of cross-entropy, paired by repetition."""
    mine, plain = (figures(rows, one, when, "misses") for one in (name, "ce"))
    # A ratio of nothing to nothing is none; then both are alike.
    return paired_ratio(mine, plain) or Interval(1.0, None, None)


def coverage_difference(rows: Sequence[Row], name: str, when: str) -> Interval:
    """Return coverage of a recipe less that of cross-entropy, paired by repetition."""
    mine, plain = (figures(rows, one, when, "coverage") for one in (name, "ce"))
    return mean_interval([one - other for one, other in zip(mine, plain, strict=True)])
