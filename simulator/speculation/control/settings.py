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

    The usual values were chosen on two made-up serving processes of four states, none of them
    shipped, with seeds 101 to 108 and 901 to 904, over 2e5 to 4e5 intervals, for all learners
    alike: T_0 among 1e4, 2e4, 4e4 and 6e4, tau_1 among 5e3, 1e4, 2e4 and 4e4, tau_2 among 3e4, 6e4
    and 1.2e5, c among 0 and 1e-9 to 1e-4. Optimism bought nothing there: up to c = 1e-8 the regret
    is what it is without, within the noise of eight seeds; at 1e-7 it was up to a third larger, at
    1e-5 up to twice as large, because models far from the estimate mislead the belief.

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
    first_exploration: int = 20_000
    optimism: float = 1e-8
    models: int = 4
    delta: float = 0.1
    explore_intervals: int = 20_000
    exploit_intervals: int = 120_000
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
