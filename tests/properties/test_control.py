"""What holds for every process, belief and numbering."""

import numpy as np
from helpers.control import random_pomdp
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.speculation.control.alignment import best_order
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.pomdp import predictive_belief, stationary

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


@few
@given(seeds, st.integers(2, 5), st.permutations(range(5)))
def test_alignment_undoes_any_numbering(seed, states, order):
    order = [place for place in order if place < states]
    reference = np.random.default_rng(seed).dirichlet(np.ones(states + 1), states).T
    found = best_order(reference[:, order], reference)
    np.testing.assert_array_equal(reference[:, order][:, found], reference)


@few
@given(seeds, st.integers(2, 5), st.permutations(range(5)))
def test_beliefs_do_not_depend_on_what_states_are_called(seed, states, order):
    order = [place for place in order if place < states]
    truth = random_pomdp(seed, states, actions=2, symbols=3)
    belief = np.random.default_rng(seed).dirichlet(np.ones(states))
    moved = predictive_belief(truth, belief, 1, 2)
    renamed = predictive_belief(truth.relabelled(order), belief[order], 1, 2)
    np.testing.assert_allclose(renamed, moved[order], atol=1e-12)


@few
@given(seeds, st.integers(1, 5))
def test_a_stationary_distribution_stays(seed, states):
    chain = random_pomdp(seed, states, actions=1, symbols=2).transitions[0]
    shares = stationary(chain)
    np.testing.assert_allclose(shares @ chain, shares, atol=1e-12)


@few
@given(seeds, st.integers(2, 4), st.integers(1, 9))
def test_interpolation_is_exact_for_what_is_linear(seed, states, divisions):
    grid, rng = BeliefGrid(states, divisions), np.random.default_rng(seed)
    slopes, belief = rng.standard_normal(states), rng.dirichlet(np.full(states, 0.3))
    corners = grid.corners(belief)
    made = corners.weights @ (grid.points @ slopes)[corners.points]
    np.testing.assert_allclose(made, slopes @ belief, atol=1e-12)


@few
@given(seeds, st.integers(1, 60))
def test_moments_of_a_trajectory_are_those_of_its_pieces_but_for_the_seams(seed, cut):
    rng = np.random.default_rng(seed)
    seen, taken = rng.integers(0, 3, 64), rng.integers(0, 2, 64)
    whole, parts = TripleMoments(2, 3), TripleMoments(2, 3)
    whole.add(seen, taken)
    # A triple needs both neighbours: pieces that overlap by two intervals share none and lack none.
    parts.add(seen[: cut + 2], taken[: cut + 2])
    parts.add(seen[cut:], taken[cut:])
    np.testing.assert_array_equal(parts.sums, whole.sums)
    np.testing.assert_array_equal(parts.visits, whole.visits)
