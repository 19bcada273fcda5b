"""Controllers with finite memory, of which what they do in the long run is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.table import BeliefTable

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Controller:
    """A controller with M nodes of memory; it starts in the first.

    Parameters
    ----------
    choice
        ``P(a_t | node, o_t)``, shape [M, O, A]. Blind controllers choose alike for every o_t.
    successor
        The next node after an action and what it showed, shape [M, A, O].

    Raises
    ------
    ConfigError
        If shapes do not fit, a row is not a distribution, or a successor is no node.
    """

    choice: Array
    successor: Integers

    def __post_init__(self) -> None:
        object.__setattr__(self, "choice", np.array(self.choice, float))
        object.__setattr__(self, "successor", np.array(self.successor, np.int64))
        if self.choice.ndim != 3 or self.successor.shape != tuple(
            np.array(self.choice.shape)[[0, 2, 1]]
        ):
            raise ConfigError(
                "a controller needs choice [M, O, A] and successor [M, A, O], got shapes "
                f"{self.choice.shape} and {self.successor.shape}."
            )
        sums = self.choice.sum(axis=-1)
        if not (np.all(self.choice >= 0) and np.allclose(sums, 1.0, rtol=0, atol=1e-9)):
            raise ConfigError(
                "a controller must choose with chances that sum to 1, got sums from "
                f"{sums.min():.9g} to {sums.max():.9g}, smallest chance {self.choice.min():.6g}."
            )
        if np.any((self.successor < 0) | (self.successor >= len(self.choice))):
            raise ConfigError(
                f"successors of a controller with {len(self.choice)} nodes must lie between 0 and "
                f"{len(self.choice) - 1}, got {self.successor.min()} to {self.successor.max()}."
            )

    @property
    def is_blind(self) -> bool:
        """Whether no action depends on the observation of its own interval."""
        return bool(np.all(self.choice == self.choice[:, :1]))

    @property
    def is_deterministic(self) -> bool:
        """Whether every choice is sure."""
        return bool(np.all((self.choice == 0) | (self.choice == 1)))


def blind(chances: object, symbols: int) -> Controller:
    """Return the controller that draws actions, whatever it saw, with chances [A].

    Examples
    --------
    >>> blind([0.5, 0.5], symbols=3).is_blind
    True
    """
    row = np.asarray(chances, float)
    return Controller(
        np.broadcast_to(row, (1, symbols, row.size)), np.zeros((1, row.size, symbols), np.int64)
    )


def constant(action: int, actions: int, symbols: int) -> Controller:
    """Return the controller that always takes the same action."""
    return blind(np.eye(actions)[action], symbols)


def last_observation(chances: object) -> Controller:
    """Return the controller that draws ``a_t`` by ``o_{t-1}``, with chances [O, A].

    Its memory is the last observation: telemetry that comes one interval late.
    """
    rows = np.asarray(chances, float)
    symbols, actions = rows.shape
    return Controller(
        np.broadcast_to(rows[:, None, :], (symbols, symbols, actions)),
        np.broadcast_to(np.arange(symbols), (symbols, actions, symbols)),
    )


def current_observation(chances: object) -> Controller:
    """Return the controller that draws ``a_t`` by ``o_t``, with chances [O, A]: it is not blind.

    Examples
    --------
    >>> current_observation([[0.9, 0.1], [0.2, 0.8]]).is_blind
    False
    """
    rows = np.asarray(chances, float)
    return Controller(rows[None], np.zeros((1, rows.shape[1], rows.shape[0]), np.int64))


def on_grid(model: Pomdp, table: BeliefTable) -> Controller:
    """Return a belief table as a controller whose memory is the point the belief rounds to.

    Rounding at every interval forgets a little; the controller is blind all the same.
    """
    steps = np.einsum("ps,aost->paot", table.grid.points, model.belief_steps)
    chances = steps.sum(axis=-1, keepdims=True)
    following = np.divide(
        steps,
        chances,
        out=np.broadcast_to(model.first_belief, steps.shape).copy(),
        where=chances > 0,
    )
    # The first node is where the belief begins.
    first = int(table.grid.nearest(model.first_belief))
    swap = np.arange(len(table.grid))
    swap[[0, first]] = first, 0
    choice = np.eye(model.actions)[table.actions][swap]
    return Controller(
        np.broadcast_to(choice[:, None, :], (len(choice), model.symbols, model.actions)),
        swap[table.grid.nearest(following)][swap],
    )
