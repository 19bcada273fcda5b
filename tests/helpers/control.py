"""Processes to control, and how far an estimate is from one, whatever it calls the states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.speculation.control.alignment import best_order
from simulator.speculation.control.controllers import Controller
from simulator.speculation.control.estimate import Estimate
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.pomdp import Pomdp


class Errors(NamedTuple):
    observations: float
    transitions: float


def random_pomdp(seed: int, states: int, actions: int, symbols: int) -> Pomdp:
    """No transition is below ``1 / (10 S)``, as in the paper's experiments."""
    rng = np.random.default_rng(seed)
    moves = 0.9 * rng.dirichlet(np.full(states, 0.5), (actions, states)) + 0.1 / states
    shown = rng.dirichlet(np.full(symbols, 0.5), states)
    return Pomdp(moves, shown, rng.random(symbols))


def clear_pomdp() -> Pomdp:
    """Well conditioned: three states that last and show themselves, two actions."""
    eye, even = np.eye(3), np.full((3, 3), 1 / 3)
    moves = [0.8 * eye + 0.2 * even, 0.6 * np.roll(eye, 1, axis=1) + 0.4 * even]
    shown = np.hstack([0.75 * eye + 0.05, np.full((3, 1), 0.1)])
    return Pomdp(moves, shown, [1.0, 0.3, 0.0, 0.5])


def serving_pomdp(stay: float = 0.97) -> Pomdp:
    """Two phases times two backlogs; which of three actions drains depends on the phase."""
    fills = np.array([[0.30, 0.12, 0.05], [0.12, 0.20, 0.40]])
    drains = np.array([[0.05, 0.15, 0.30], [0.20, 0.12, 0.05]])
    phases = np.array([[stay, 1 - stay], [1 - stay, stay]])
    backlog = np.stack([[1 - fills, fills], [drains, 1 - drains]]).transpose(3, 2, 0, 1)
    moves = np.einsum("pq,apbc->apbqc", phases, backlog).reshape(3, 4, 4)
    accepted = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    bucket = np.array([[0.9, 0.1], [0.1, 0.9]])
    return Pomdp(moves, np.kron(accepted, bucket), [1.0, 0.0] * 3)


def errors(truth: Pomdp, found: Estimate | Pomdp) -> Errors:
    """The largest error of an entry, states matched to the truth's, which only a test has."""
    order = best_order(found.observations.T, truth.observations.T)
    moved = found.transitions[:, order[:, None], order[None, :]] - truth.transitions
    return Errors(
        float(np.abs(found.observations[order] - truth.observations).max()),
        float(np.abs(moved).max()),
    )


def sampled_moments(
    truth: Pomdp, controller: Controller, intervals: int, seed: int, weighted: bool
) -> TripleMoments:
    """Triples of 100 trajectories side by side."""
    rng, lanes = np.random.default_rng(seed), 100
    steps = intervals // lanes
    state, node = rng.integers(0, truth.states, lanes), np.zeros(lanes, int)
    seen, taken = np.zeros((2, steps, lanes), int)
    chances = np.zeros((steps, lanes))
    for step in range(steps):
        seen[step] = _draw(truth.observations[state], rng)
        choice = controller.choice[node, seen[step]]
        taken[step] = _draw(choice, rng)
        chances[step] = choice[np.arange(lanes), taken[step]]
        node = controller.successor[node, taken[step], seen[step]]
        state = _draw(truth.transitions[taken[step], state], rng)
    moments = TripleMoments(truth.actions, truth.symbols)
    for lane in range(lanes):
        moments.add(seen[:, lane], taken[:, lane], chances[:, lane] if weighted else None)
    return moments


def _draw(rows, rng):
    return (np.cumsum(rows, axis=1)[:, :-1] < rng.random((len(rows), 1))).sum(axis=1)
