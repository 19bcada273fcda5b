"""What learners are told beforehand."""

from __future__ import annotations

from dataclasses import dataclass

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
        T_0, intervals of uniform actions before the first plan of the mixed learner.
    optimism
        c, which stands for the constants C_O and C_T of theorem 5.4 (`bounds`).
    models
        Models sampled from the confidence set beside the estimate, for the most optimistic.
    delta
        Chance that confidence sets may miss the truth, in (0, 1).
    explore_intervals, exploit_intervals
        tau_1 and tau_2 of SEEU: phase l explores for tau_1 and exploits for ``tau_2 sqrt(l)``.
    least_chance
        iota of SM-UCRL, the least chance of every action.

    Raises
    ------
    ConfigError
        If a constant is out of its range.
    """

    divisions: int = 12
    first_exploration: int = 60_000
    optimism: float = 0.0
    models: int = 4
    delta: float = 0.1
    explore_intervals: int = 20_000
    exploit_intervals: int = 60_000
    least_chance: float = 0.02

    def __post_init__(self) -> None:
        at_least = {
            "divisions": 1,
            "first_exploration": 3,
            "optimism": 0.0,
            "models": 0,
            "explore_intervals": 3,
            "exploit_intervals": 1,
        }
        for name, least in at_least.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} must be {least} or more, got {getattr(self, name)!r}.")
        for name in ("delta", "least_chance"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is a chance between 0 and 1, got {getattr(self, name)!r}."
                )
