"""The planner against closed forms, a linear program and its own bounds."""

import numpy as np
import pytest
from helpers.control import random_pomdp, serving_pomdp
from scipy.optimize import linprog

from simulator.speculation.control.controllers import constant, on_grid
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.planning import plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.population import average_reward


def gain_of_delayed_mdp(transitions, rewards):
    """Average reward of an MDP whose state is seen one interval late, by linear programming.

    What is known is the last state and the action taken in it, x = (s, a); the next interval has
    the state ``s' ~ T_a(. | s)``, whatever is done in it.
    """
    actions, states = len(transitions), len(rewards)
    known = [(state, action) for state in range(states) for action in range(actions)]
    pays, flows = [], []
    for state, action in known:
        for chosen in range(actions):
            ahead = transitions[action][state]
            pays.append(ahead @ rewards)
            moves = np.zeros(len(known))
            moves[[known.index((s, chosen)) for s in range(states)]] = ahead
            moves[known.index((state, action))] -= 1.0
            flows.append(moves)
    equal = np.vstack([np.transpose(flows), np.ones(len(pays))])
    sides = np.append(np.zeros(len(known)), 1.0)
    return -linprog(-np.array(pays), A_eq=equal, b_eq=sides, bounds=(0, 1)).fun


@pytest.mark.parametrize("seed", [1, 2])
def test_states_seen_one_interval_late_are_planned_for_as_the_linear_program_does(seed):
    made = random_pomdp(seed, states=3, actions=2, symbols=3)
    seen = Pomdp(made.transitions, np.eye(3), made.rewards)
    exact = gain_of_delayed_mdp(seen.transitions, seen.rewards)
    coarse, fine = (plan(seen, BeliefGrid(3, n)).gain for n in (10, 60))
    assert exact - 1e-4 <= fine <= coarse + 1e-4
    assert fine == pytest.approx(exact, abs=2e-3)


def test_what_actions_cannot_change_has_the_stationary_reward():
    keep = [[0.9, 0.1], [0.3, 0.7]]
    chain = Pomdp([keep, keep], [[0.8, 0.2], [0.4, 0.6]], [1.0, 0.0])
    assert plan(chain, BeliefGrid(2, 8)).gain == pytest.approx(0.75 * 0.8 + 0.25 * 0.4, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_gain_bounds_what_its_policy_earns_and_no_fixed_action_earns_more(seed):
    """Interpolation lies above, a policy on rounded beliefs below."""
    model = random_pomdp(seed, states=3, actions=3, symbols=4)
    best = plan(model, BeliefGrid(3, 15))
    earned = average_reward(model, on_grid(model, best.table))
    fixed = max(average_reward(model, constant(a, 3, 4)) for a in range(3))
    assert fixed - 1e-4 <= best.gain
    assert fixed - 5e-3 <= earned <= best.gain + 1e-4


def test_a_finer_grid_lowers_the_bound():
    gains = [plan(serving_pomdp(), BeliefGrid(4, n)).gain for n in (3, 6, 12)]
    assert gains[0] > gains[1] > gains[2]


def test_a_start_from_the_values_of_another_plan_changes_nothing():
    model, grid = serving_pomdp(), BeliefGrid(4, 6)
    cold = plan(model, grid)
    warm = plan(model, grid, values=plan(serving_pomdp(stay=0.9), grid).values)
    assert warm.gain == pytest.approx(cold.gain, abs=1e-5)
    assert np.mean(warm.table.actions == cold.table.actions) > 0.98
