"""What predictors are trained on and how, and what their experts have room for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.errors import ConfigError, refuse_below
from simulator.experts.recorded import SHORTEST_TOKENS
from simulator.experts.sampling import Archetype
from simulator.study.prefetch.bank import BankSettings
from simulator.study.prefetch.losses import RECIPES, Recipe, recipe
from simulator.study.prefetch.replay import Room
from simulator.study.prefetch.traces import LEAST_SEQUENCES
from simulator.study.prefetch.training import Effort

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
        refuse_below(self, least)
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
