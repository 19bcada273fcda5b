"""The linear form of the AUC loss: against the sum over pairs, by slopes, and by memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.prefetch.auc import (
    auc_square_loss,
    class_aucs,
    pairwise_auc_loss,
)
from simulator.study.prefetch.memory import measure_memory


def batch(seed, rows=30, classes=4, share=None):
    """Scores and labels: one class a row, or each with a chance."""
    draws = np.random.default_rng(seed)
    scores = draws.random((rows, classes))
    if share is None:
        return scores, np.eye(classes, dtype=bool)[draws.integers(classes, size=rows)]
    return scores, draws.random((rows, classes)) < share


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([None, 0.1, 0.5]))
def test_the_linear_form_is_the_sum_over_pairs(seed, rows, share):
    scores, members = batch(seed, rows, share=share)
    expected = pairwise_auc_loss(scores, members)
    assert auc_square_loss(scores, members)[0] == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("share", [None, 0.4])
def test_slopes_are_those_of_finite_differences(share):
    scores, members = batch(1, rows=12, share=share)
    _, slopes = auc_square_loss(scores, members)
    found = np.empty_like(scores)
    for place in np.ndindex(*scores.shape):
        step = np.zeros_like(scores)
        step[place] = 1e-5
        above, below = (auc_square_loss(scores + sign * step, members)[0] for sign in (1, -1))
        found[place] = (above - below) / 2e-5
    np.testing.assert_allclose(slopes, found, atol=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(1, 4))
def test_repeating_the_rows_of_one_class_changes_nothing(seed, one, times):
    scores, members = batch(seed)
    rows = np.flatnonzero(members[:, one]).repeat(times)
    more, labels = (np.concatenate([both, both[rows]]) for both in (scores, members))
    expected, slopes = auc_square_loss(scores, members)
    found, spread = auc_square_loss(more, labels)
    assert found == pytest.approx(expected, rel=1e-10)
    # The pull on a class is shared by the copies of its rows.
    kept = ~members[:, one]
    np.testing.assert_allclose(spread[: len(scores)][kept], slopes[kept], atol=1e-12)


def test_a_perfect_ranking_costs_nothing_and_a_class_alone_has_no_rival():
    members = np.eye(3, dtype=bool)[[0, 0, 1, 2]]
    assert auc_square_loss(members.astype(float), members)[0] == 0.0
    several = np.random.default_rng(0).random((40, 6)) < 0.4
    assert auc_square_loss(several.astype(float), several)[0] == pytest.approx(0.0, abs=1e-12)
    loss, slopes = auc_square_loss(np.array([[0.3, 0.1]]), np.array([[True, False]]))
    assert loss == 0.0
    assert not slopes.any()


def test_areas_are_shares_of_pairs_in_order():
    scores, members = batch(5, share=0.3)
    for one, area in enumerate(class_aucs(scores, members)):
        high, low = scores[members[:, one], one], scores[~members[:, one], one]
        assert area == pytest.approx(float((high[:, None] > low).mean()))
    assert np.isnan(class_aucs(scores, np.ones_like(members))).all()


def test_memory_is_linear_where_that_of_pairs_is_not():
    few, many = measure_memory((512, 4096))
    assert many.linear_bytes / few.linear_bytes < 1.1 * 8
    assert many.naive_bytes / few.naive_bytes > 3 * 8
    assert many.banked_bytes / few.banked_bytes < 1.1 * 8
