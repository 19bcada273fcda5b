"""Several candidates at a depth, and rounds without any draft."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import MAX_DRAFT_TOKENS, SpeculationConfig
from simulator.speculation.position import PositionAcceptance

rates = st.floats(0, 1)
ranks = st.lists(rates, min_size=1, max_size=4)


@given(st.lists(rates, min_size=1, max_size=5), ranks)
def test_one_candidate_is_a_chain_to_the_bit(alphas, ranks):
    chain, tree = PositionAcceptance(alphas), PositionAcceptance(alphas, Candidates([1, 1], ranks))
    assert tree.survival.tolist() == chain.survival.tolist()


@given(rates, st.integers(1, 6), ranks)
def test_all_candidates_fail_one_after_another(alpha, width, ranks):
    missed = 1.0 - alpha
    for candidate in range(width - 1):
        missed *= 1.0 - ranks[min(candidate, len(ranks) - 1)]
    found = Candidates([width], ranks).chance(np.array([alpha]), 0)
    assert found == pytest.approx([1.0 - missed], abs=1e-12)


def test_a_tree_accepts_as_often_as_candidates_tried_one_by_one():
    """Two depths of 3 and 2 candidates, drawn candidate by candidate."""
    generator, rounds = np.random.default_rng(4), 200_000
    alpha, ranks, widths = 0.5, [0.4, 0.2], [3, 2]
    depth = np.zeros(rounds)
    alive = np.ones(rounds, bool)
    for width in widths:
        hit = generator.random(rounds) < alpha
        for rank in ranks[: width - 1]:
            hit |= generator.random(rounds) < rank
        alive &= hit
        depth += alive
    settings = SpeculationConfig(gamma=2, alpha=alpha, tree=widths, tree_ranks=ranks)
    model = ACCEPTANCE.get("iid")(settings)
    error = 4 * depth.std() / np.sqrt(rounds)
    assert model.tokens_per_round(2) == pytest.approx(1 + depth.mean(), abs=error)
    drawn = model.draw(np.array([rounds]), 2, generator)
    assert 1 + drawn.mean() == pytest.approx(1 + depth.mean(), abs=2 * error)


@given(rates, st.floats(0.05, 1), st.integers(1, 8))
def test_rounds_without_a_draft_emit_one_token(alpha, proposed, gamma):
    always, sometimes = (
        PositionAcceptance([alpha], Candidates((), (), rate)) for rate in (1.0, proposed)
    )
    mean = proposed * always.tokens_per_round(gamma) + (1 - proposed)
    assert sometimes.tokens_per_round(gamma) == pytest.approx(mean)


def test_medusas_figures_are_those_of_the_shipped_ranks():
    """Medusa, arXiv 2401.10774: the first choice is right some 60 %, the first five over 80 %."""
    five = Candidates([5], [0.27, 0.17, 0.11, 0.07]).chance(np.array([0.6]), 0)
    assert five == pytest.approx([0.8], abs=0.005)


def test_survival_reaches_the_longest_draft():
    alphas = np.full((3, MAX_DRAFT_TOKENS), 0.9)
    assert Candidates([2], [0.5]).survival(alphas).shape == (3, MAX_DRAFT_TOKENS)
