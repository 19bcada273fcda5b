"""What learners are told beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.errors import ConfigError
from simulator.speculation.control.pomdp import Array


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a learner knows of the process before it begins: no transition, no observation chance.

    Parameters
    ----------
    actions, states
        A, and the number of states S that the learner supposes.
    rewards
        ``r(o)``, shape [O].
    """

    actions: int
    states: int
    rewards: Array

    @property
    def symbols(self) -> int:
        """Number of observations, O."""
        return len(self.rewards)


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """Constants of the learners; all inputs of a study, none taken from the process.

    Parameters
    ----------
    divisions
        n of the belief grid: its step is 1/n.
    first_exploration
        T_0, intervals of uniform actions before the first plan.
    optimism
        c, which stands for the constants C_O and C_T of theorem 5.4 (`bounds`).
    models
        Models sampled from the confidence set beside the estimate, for the most optimistic.
    delta
        Chance that confidence sets may miss the truth.
    """

    divisions: int = 12
    first_exploration: int = 60_000
    optimism: float = 0.0
    models: int = 4
    delta: float = 0.1
    explore_intervals: int = 20_000
    exploit_intervals: int = 60_000
    least_chance: float = 0.02
