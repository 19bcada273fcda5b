"""The best policy of a known model on a belief grid, by relative value iteration.

The Bellman equation of the average reward on predictive beliefs is

``rho + v(b) = g(b) + max_a sum_o P(o | b) v(b'(b, a, o))``, ``g(b) = sum_so b(s) O(o | s) r(o)``.

v is kept at the points of the grid and interpolated linearly between them. So interpolated, the
problem is a finite Markov decision process whose states are the points. Since v is convex in the
belief, interpolation lies above it: the gain found is an upper bound that falls to rho as the grid
gets finer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.table import BeliefTable

_MOST_SWEEPS = 20_000
"""Sweeps after which a slowly mixing model is taken as it stands."""

_EVALUATIONS = 10
"""Sweeps with the actions held between two that choose them anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The best policy of a model on a belief grid.

    Parameters
    ----------
    model
        What was planned for.
    table
        The action by point.
    gain
        Average reward an interval, in the model, to the tolerance asked for.
    values
        v by point, 0 on average; shape [points].
    """

    model: Pomdp
    table: BeliefTable
    gain: float
    values: Array


def plan(
    model: Pomdp, grid: BeliefGrid, tolerance: float = 1e-5, values: Array | None = None
) -> Plan:
    """Find the best policy by relative value iteration.

    Parameters
    ----------
    model
        The process.
    grid
        Over beliefs about its states.
    tolerance
        Width of the interval that holds the gain of the interpolated problem.
    values
        Where to start, by point: the values of a similar model.

    Examples
    --------
    >>> stay, swap = [[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]
    >>> seen = Pomdp([stay, swap], [[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])
    >>> best = plan(seen, BeliefGrid(states=2, divisions=10))
    >>> round(best.gain, 3), best.table.act(np.eye(2)).tolist()
    (0.82, [0, 1])
    """
    moves = _moves(model, grid)
    pays = grid.points @ model.state_rewards
    values = np.zeros(len(grid)) if values is None else values
    for _ in range(_MOST_SWEEPS):
        ahead = (moves @ values).reshape(model.actions, -1)
        choice = np.argmax(ahead, axis=0)
        change = pays + ahead[choice, np.arange(len(grid))] - values
        values = values + change
        values = values - values.mean()
        if np.ptp(change) <= tolerance:
            break
        held = moves[choice * len(grid) + np.arange(len(grid))]
        for _ in range(_EVALUATIONS):
            values = pays + held @ values
        values = values - values.mean()
    gain = float((change.min() + change.max()) / 2.0)
    return Plan(model, BeliefTable(grid, choice), gain, values)


def _moves(model: Pomdp, grid: BeliefGrid) -> csr_matrix:
    """Return the chances of moving between points, actions stacked, shape [A points, points]."""
    steps = np.einsum("ps,aost->apot", grid.points, model.belief_steps, optimize=True)
    chances = steps.sum(axis=-1, keepdims=True)
    # What never shows may lead anywhere.
    even = np.full_like(steps, 1.0 / model.states)
    corners = grid.corners(np.divide(steps, chances, out=even, where=chances > 0))
    weights = corners.weights * chances
    rows = np.broadcast_to(
        np.arange(model.actions * len(grid)).reshape(model.actions, -1, 1, 1), weights.shape
    )
    shape = (model.actions * len(grid), len(grid))
    return csr_matrix((weights.ravel(), (rows.ravel(), corners.points.ravel())), shape=shape)
