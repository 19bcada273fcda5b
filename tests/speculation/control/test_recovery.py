"""What exact moments give, and what policies that look at the current observation spoil."""

import numpy as np
import pytest
from helpers.control import clear_pomdp, errors, random_pomdp, sampled_moments

from simulator.speculation.control.controllers import (
    blind,
    current_observation,
    last_observation,
    on_grid,
)
from simulator.speculation.control.estimate import estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.population import population_moments
from simulator.speculation.control.table import BeliefTable

SHAPES = [(0, 3, 3, 4), (1, 3, 3, 5), (0, 4, 2, 4), (3, 2, 3, 6)]
"""Seed, S, A and O."""


def chances(rng, rows, actions):
    return rng.dirichlet(np.full(actions, 2.0), rows)


def blind_controllers(truth, rng):
    """One that ignores everything, one that acts on the last observation, one on its belief."""
    grid = BeliefGrid(truth.states, 4)
    table = BeliefTable(grid, rng.integers(0, truth.actions, len(grid)))
    return [
        blind(chances(rng, 1, truth.actions)[0], truth.symbols),
        last_observation(chances(rng, truth.symbols, truth.actions)),
        on_grid(truth, table),
    ]


def preferring(truth, strength):
    """A controller that most often takes the action that what it sees now names."""
    named = np.eye(truth.actions)[np.arange(truth.symbols) % truth.actions]
    return current_observation(strength * named + (1 - strength) / truth.actions)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_exact_moments_pooled_over_blind_policies_give_the_model(shape):
    truth, rng = random_pomdp(*shape), np.random.default_rng(shape[0])
    moments = population_moments(truth, blind_controllers(truth, rng), [0.5, 0.3, 0.2])
    assert max(errors(truth, estimate(moments, truth.states, rng))) < 1e-9


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_looking_at_the_current_observation_biases_and_propensities_undo_it(shape):
    truth, rng = random_pomdp(*shape), np.random.default_rng(shape[0])
    looking = [preferring(truth, strength) for strength in (0.5, 0.7, 0.9)]
    biased = estimate(population_moments(truth, looking), truth.states, rng)
    weighed = estimate(population_moments(truth, looking, weighted=True), truth.states, rng)
    assert max(errors(truth, biased)) > 0.05
    assert max(errors(truth, weighed)) < 1e-9
    # Actions then tell different stories of what states show: this a learner can see.
    assert biased.conditioning.disagreement.max() > 0.05
    assert weighed.conditioning.disagreement.max() < 1e-9


def test_a_single_action_suffices_and_actions_agree_on_the_states():
    """Whatever order each action finds its states in, one numbering serves all of them."""
    truth = random_pomdp(5, 3, 4, 5)
    moments = population_moments(truth, [blind(np.full(4, 0.25), 5)])
    for seed in range(6):
        assert max(errors(truth, estimate(moments, 3, np.random.default_rng(seed)))) < 1e-9


def test_the_numbering_of_the_hidden_states_does_not_matter():
    truth = random_pomdp(6, 4, 2, 5)
    controllers = [blind([0.3, 0.7], 5)]
    one = population_moments(truth, controllers)
    other = population_moments(truth.relabelled([2, 0, 3, 1]), controllers)
    np.testing.assert_allclose(one.sums, other.sums, atol=1e-15)
    found = [estimate(moments, 4, np.random.default_rng(1)) for moments in (one, other)]
    np.testing.assert_allclose(found[0].observations, found[1].observations, atol=1e-9)
    np.testing.assert_allclose(found[0].transitions, found[1].transitions, atol=1e-9)


def test_weights_are_the_chances_of_states_given_the_action():
    truth = clear_pomdp()
    moments = population_moments(truth, [blind([0.5, 0.5], 4)])
    for part in estimate(moments, 3, np.random.default_rng(1)).views:
        np.testing.assert_allclose(part.weights, 1 / 3, atol=1e-9)


def test_samples_show_the_same_bias_and_the_same_cure():
    truth = clear_pomdp()
    controller = current_observation([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.2, 0.8]])
    plain, weighed = (
        errors(truth, estimate(moments, 3, np.random.default_rng(1)))
        for weighted in (False, True)
        for moments in [sampled_moments(truth, controller, 100_000, 1, weighted)]
    )
    assert plain.observations > 0.05
    assert weighed.observations < 0.03
