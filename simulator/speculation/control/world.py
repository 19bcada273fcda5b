"""A known process as the environment of many lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.control.pomdp import Array, Pomdp

Integers = NDArray[np.int64]

_INSIDE = 1e-9
"""Uniform draws keep this distance from 0 and 1, so that no rounding leads to another row."""


class World:
    """The hidden states of many lanes of one process.

    One uniform draw decides what a state shows and where it goes. Rows ``P(o, s' | s, a)`` are
    summed up and laid end to end, row ``a S + s`` in ``[a S + s, a S + s + 1]``, so that one sorted
    search serves all lanes.

    Parameters
    ----------
    pomdp
        The process.
    draws
        Uniform draws, one per lane, that decide the first states.
    """

    def __init__(self, pomdp: Pomdp, draws: Array) -> None:
        rows = np.einsum("so,ast->asot", pomdp.observations, pomdp.transitions)
        heights = np.cumsum(rows.reshape(pomdp.actions * pomdp.states, -1), axis=1)
        heights /= heights[:, -1:]
        self._heights = (heights + np.arange(len(heights))[:, None]).ravel()
        outcomes = np.arange(self._heights.size) % heights.shape[1]
        self._symbols, self._following = outcomes // pomdp.states, outcomes % pomdp.states
        self._states_count = pomdp.states
        first = np.searchsorted(np.cumsum(pomdp.first_belief), inside(draws))
        self._states: Integers = np.minimum(first, pomdp.states - 1)

    def step(self, actions: Integers, draws: Array) -> Integers:
        """Return what each lane observes, and move its state on.

        Parameters
        ----------
        actions
            By lane.
        draws
            Uniform draws by lane, kept `inside` (0, 1).
        """
        rows = actions * self._states_count + self._states
        outcomes = self._heights.searchsorted(rows + draws)
        self._states = self._following.take(outcomes)
        return np.asarray(self._symbols.take(outcomes))


def inside(draws: Array) -> Array:
    """Return uniform draws kept off 0 and 1."""
    return np.clip(draws, _INSIDE, 1.0 - _INSIDE)
