"""The policies of all lanes as arrays, so that one interval of all of them is a few array calls.

A belief is kept as its partial sums, scaled to end at the grid's n: one product with
``C^-1 M[a, o] C`` (C sums up, M is `Pomdp.belief_steps`) moves it on, and its rounded partial sums
number the cell that holds the action. The memory of a controller is a node. Cells and nodes are
places in one array of actions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.control.controllers import Controller
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.planning import Plan
from simulator.speculation.control.pomdp import Array
from simulator.speculation.control.results import Bytes

Integers = NDArray[np.int64]

_POSSIBLE = 1e-12
"""Chance of what a model calls impossible, should it happen."""

_RECALLED = 256
"""Past intervals from which a new policy finds its place; older ones hardly matter."""


class PolicyBank:
    """What every lane follows, and where it stands.

    Parameters
    ----------
    lanes, actions, symbols
        Number of lanes, A and O.
    grid
        On which all plans act.
    nodes
        Most nodes of a controller.
    """

    def __init__(
        self, lanes: int, actions: int, symbols: int, grid: BeliefGrid, nodes: int
    ) -> None:
        self._grid = grid
        self._cell_strides = grid.strides.astype(float)
        pairs, places = actions * symbols, max(len(grid.point_of_cell), nodes)
        self._believes = np.zeros(lanes, bool)
        self._sums: Array = np.full((grid.states, lanes), float(grid.divisions))
        self._steps: Array = np.ones((grid.states, grid.states, lanes, pairs))
        self._actions: Integers = np.zeros((lanes, places), np.int64)
        self._successors: Integers = np.zeros((lanes, nodes, pairs), np.int64)
        self._node: Integers = np.zeros(lanes, np.int64)
        self._place: Integers = np.zeros(lanes, np.int64)
        # Where a lane's part of each array begins, arrays taken flat.
        self._first_place, self._first_pair = np.arange(lanes) * places, np.arange(lanes) * pairs
        self._first_node, self._pairs = np.arange(lanes) * nodes * pairs, pairs
        self._flat_steps = self._steps.reshape(grid.states, grid.states, -1)

    def load(self, lane: int, policy: Plan | Controller, actions: Bytes, symbols: Bytes) -> None:
        """Have a lane follow a policy from here on, given its actions and observations so far."""
        history = list(
            zip(actions[-_RECALLED:].tolist(), symbols[-_RECALLED:].tolist(), strict=True)
        )
        self._believes[lane] = isinstance(policy, Plan)
        if isinstance(policy, Plan):
            self._load_plan(lane, policy, history)
        else:
            self._load_controller(lane, policy, history)

    def act(self) -> Integers:
        """Return what each lane's policy does in the coming interval."""
        return np.asarray(self._actions.take(self._first_place + self._place))

    def observe(self, pairs: Integers) -> None:
        """Take in an interval: ``a O + o`` of each lane."""
        products = self._sums[:, None] * self._flat_steps.take(self._first_pair + pairs, axis=2)
        sums = products[0]
        for product in products[1:]:
            sums = sums + product
        self._sums = sums * (self._grid.divisions / sums[-1])
        cells = self._cell_strides @ np.rint(self._sums[:-1])
        self._node = self._successors.take(self._first_node + self._node * self._pairs + pairs)
        self._place = np.where(self._believes, cells, self._node).astype(np.int64)

    def _load_plan(self, lane: int, policy: Plan, history: list[tuple[int, int]]) -> None:
        grid, other = self._grid, policy.table.grid
        if (other.states, other.divisions) != (grid.states, grid.divisions):
            raise ConfigError(
                "plans that run side by side must share their belief grid, got "
                f"{other.states} states and {other.divisions} divisions beside {grid.states} "
                f"and {grid.divisions}."
            )
        steps = policy.model.belief_steps + _POSSIBLE
        summing = np.triu(np.ones((grid.states, grid.states)))
        moved = np.linalg.inv(summing) @ steps @ summing
        self._steps[:, :, lane] = moved.reshape(self._pairs, grid.states, grid.states).transpose(
            1, 2, 0
        )
        self._actions[lane, : len(grid.point_of_cell)] = policy.table.actions[grid.point_of_cell]
        belief = policy.model.first_belief
        for action, symbol in history:
            belief = belief @ steps[action, symbol]
            belief = belief / belief.sum()
        self._sums[:, lane] = np.cumsum(belief) * (grid.divisions / belief.sum())
        self._node[lane] = 0
        self._place[lane] = int(self._cell_strides @ np.rint(self._sums[:-1, lane]))

    def _load_controller(
        self, lane: int, policy: Controller, history: list[tuple[int, int]]
    ) -> None:
        nodes, most = len(policy.choice), self._successors.shape[1]
        if nodes > most:
            raise ConfigError(f"a controller may have {most} nodes here, got {nodes}.")
        self._actions[lane, :nodes] = policy.choice[:, 0].argmax(axis=-1)
        self._successors[lane, :nodes] = policy.successor.reshape(nodes, -1)
        node = 0
        for action, symbol in history:
            node = int(policy.successor[node, action, symbol])
        self._node[lane] = self._place[lane] = node
        self._sums[:, lane] = self._grid.divisions
        self._steps[:, :, lane] = 1.0
