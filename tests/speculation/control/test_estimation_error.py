"""How estimates get better with data, and what bounds say about it."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.control import clear_pomdp, errors, sampled_moments

from simulator.speculation.control.bounds import (
    ErrorBounds,
    error_bounds,
    separation,
    within_earlier,
)
from simulator.speculation.control.controllers import blind, last_observation
from simulator.speculation.control.estimate import estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.optimism import optimistic_plan, plausible_models
from simulator.speculation.control.planning import plan
from simulator.speculation.control.population import population_moments

TRUTH = clear_pomdp()
SIZES = (8_000, 40_000, 160_000)


def pooled(intervals, seed):
    """Half of the data from each of two policies, both blind."""
    moments = TripleMoments(2, 4)
    for number, controller in enumerate(
        [blind([0.3, 0.7], 4), last_observation([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5], [0.1, 0.9]])]
    ):
        part = sampled_moments(TRUTH, controller, intervals // 2, 10 * seed + number, False)
        moments.sums += part.sums
        moments.visits += part.visits
    return moments


@pytest.fixture(scope="module")
def estimates():
    return {
        size: [estimate(pooled(size, seed), 3, np.random.default_rng(1)) for seed in range(3)]
        for size in SIZES
    }


def test_errors_fall_with_the_root_of_the_number_of_intervals(estimates):
    for part in (0, 1):
        mean = [np.mean([errors(TRUTH, one)[part] for one in estimates[size]]) for size in SIZES]
        slope = np.polyfit(np.log(SIZES), np.log(mean), 1)[0]
        assert -0.7 <= slope <= -0.35


def test_bounds_fall_with_the_root_of_data_over_separation(estimates):
    few, many = (estimates[size][0] for size in (SIZES[0], SIZES[2]))
    widths = [error_bounds(one, 2, 0.1, 1.0).observations * separation(one) for one in (few, many)]
    data = [one.conditioning.visits.sum() for one in (few, many)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(data[1] / data[0]))
    bound, doubled = (error_bounds(few, 2, 0.1, scale) for scale in (1.0, 2.0))
    assert doubled.observations == pytest.approx(2 * bound.observations)
    np.testing.assert_allclose(doubled.transitions, 2 * bound.transitions)
    assert error_bounds(few, 4, 0.1, 1.0).observations > bound.observations


def test_earlier_bounds_limit_later_ones_whatever_states_were_called(estimates):
    early = estimates[SIZES[1]][0]
    late = replace(
        early,
        observations=0.9 * early.observations + 0.025,
        transitions=0.8 * early.transitions + 0.2 / 3,
    )
    order = [2, 0, 1]
    renamed = replace(
        early,
        observations=early.observations[order],
        transitions=early.transitions[:, order][:, :, order],
    )
    wide = ErrorBounds(9.0, np.array([9.0, 1e-3]))
    narrow = ErrorBounds(0.1, np.array([0.2, 0.3]))
    left = within_earlier(late, wide, [(renamed, narrow)])
    far = np.linalg.norm(early.observations - late.observations)
    assert left.observations == pytest.approx(0.1 + far)
    moved = np.linalg.norm(early.transitions - late.transitions, axis=(1, 2))
    np.testing.assert_allclose(left.transitions, [0.2 + moved[0], 1e-3])
    assert within_earlier(late, narrow, [(renamed, wide)]).observations == 0.1


def test_separation_is_the_true_one_in_the_limit():
    exact = estimate(population_moments(TRUTH, [blind([0.5, 0.5], 4)]), 3, np.random.default_rng(1))
    shown = TRUTH.observations.T
    mixed = TRUTH.transitions.mean(axis=0)
    # The chain is doubly stochastic: all states weigh a third, whatever was done.
    before = shown @ mixed
    weakest = min(
        np.linalg.svd(view, compute_uv=False)[2]
        for view in (before, shown, shown @ TRUTH.transitions[0].T, shown @ TRUTH.transitions[1].T)
    )
    pairs = min(
        np.linalg.svd(shown @ moves.T @ before.T / 3, compute_uv=False)[2]
        for moves in TRUTH.transitions
    )
    assert separation(exact) == pytest.approx(pairs * (weakest / np.sqrt(3)) ** 3, rel=1e-6)


def test_plausible_models_stay_within_their_radii_and_the_first_is_the_estimate(estimates):
    found = estimates[SIZES[1]][0]
    radii = error_bounds(found, 2, 0.1, 2e-4)
    models = list(plausible_models(found, TRUTH.rewards, radii, 5, np.random.default_rng(1)))
    assert len(models) == 6
    np.testing.assert_array_equal(models[0].observations, found.observations)
    for model in models[1:]:
        moved = np.linalg.norm(model.observations - found.observations)
        assert 0 < moved <= 2 * radii.observations


def test_optimism_keeps_the_largest_gain_and_none_is_left_without_radii(estimates):
    found, grid = estimates[SIZES[0]][0], BeliefGrid(3, 6)
    radii = error_bounds(found, 2, 0.1, 1e-4)
    models = list(plausible_models(found, TRUTH.rewards, radii, 8, np.random.default_rng(2)))
    best = optimistic_plan(iter(models), grid)
    gains = [plan(model, grid).gain for model in models]
    assert best.gain == pytest.approx(max(gains), abs=1e-4)
    assert best.gain > gains[0]
    none = error_bounds(found, 2, 0.1, 0.0)
    assert len(list(plausible_models(found, TRUTH.rewards, none, 4, np.random.default_rng(2)))) == 1
