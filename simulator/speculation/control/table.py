"""Policies on beliefs: what a planner finds, a learner runs and a server can load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.pomdp import Array, Pomdp, predictive_belief

Integers = NDArray[np.int64]


class BeliefPolicy(Protocol):
    """A policy that acts on the predictive belief, that is, blind to the current observation."""

    def act(self, beliefs: Array) -> Integers:
        """Return the action for each belief [..., S]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BeliefTable:
    """An action for every point of a belief grid; a belief acts as the point it rounds to.

    Parameters
    ----------
    grid
        The beliefs.
    actions
        Index of the action by point of the grid, shape [points].

    Raises
    ------
    ConfigError
        If there is not one action, 0 or above, for every point.

    Examples
    --------
    >>> table = BeliefTable(BeliefGrid(states=2, divisions=2), [1, 1, 0])
    >>> table.act(np.array([[0.1, 0.9], [0.8, 0.2]])).tolist()
    [1, 0]
    """

    grid: BeliefGrid
    actions: Integers

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", np.array(self.actions, np.int64))
        if self.actions.shape != (len(self.grid),) or np.any(self.actions < 0):
            raise ConfigError(
                f"a belief table over {len(self.grid)} points needs one action, 0 or above, for "
                f"each, got shape {self.actions.shape} with smallest {self.actions.min(initial=0)}."
            )

    def act(self, beliefs: Array) -> Integers:
        """Return the action for each belief [..., S]."""
        return np.asarray(self.actions[self.grid.nearest(beliefs)])


class BeliefController:
    """A belief policy at work: it keeps the predictive belief of a model up to date.

    Parameters
    ----------
    model
        What updates the belief; learned or true.
    policy
        What acts on it.

    Examples
    --------
    >>> keep = [[0.9, 0.1], [0.1, 0.9]]
    >>> model = Pomdp([keep, keep], [[0.8, 0.2], [0.2, 0.8]], [1.0, 0.0])
    >>> controller = BeliefController(model, BeliefTable(BeliefGrid(2, 2), [1, 0, 0]))
    >>> controller.decide()
    0
    >>> controller.observe(0, 1)
    >>> controller.belief.round(2).tolist()
    [0.26, 0.74]
    >>> controller.observe(0, 1)
    >>> controller.decide()
    1
    """

    def __init__(self, model: Pomdp, policy: BeliefPolicy) -> None:
        self._model, self._policy = model, policy
        self.belief = model.first_belief
        """About the state of the interval to come, shape [S]."""

    def decide(self) -> int:
        """Return the action of the interval to come."""
        return int(self._policy.act(self.belief))

    def observe(self, action: int, observation: int) -> None:
        """Take in what an interval showed, and the action that was in force."""
        self.belief = predictive_belief(self._model, self.belief, action, observation)
