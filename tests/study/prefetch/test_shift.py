"""How training decides what survives a change of workload, on a small instance."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import ConfigError, DataError
from simulator.experts.pool import RoutePool
from simulator.study.prefetch.losses import (
    RECIPES,
    balanced_weights,
    recipe,
    recipe_loss,
)
from simulator.study.prefetch.replay import Room, replay, windows
from simulator.study.prefetch.shift import (
    LONG_TAIL,
    ON_DEMAND,
    Question,
    compare,
    coverage_difference,
    figures,
    misses_ratio,
    train,
)
from simulator.study.prefetch.traces import drawn_traces, expert_copies, split_traces, swapped
from simulator.study.prefetch.training import Effort

SMALL = Question(
    sequences=96,
    recipes=("ce", "ce_auc_bank", "ce_weighted"),
    effort=Effort(steps=90, hidden=48, learning_rate=5e-3),
    seeds=2,
    first_seed=1,
)


@pytest.fixture(scope="module")
def rows():
    """Three recipes and two repetitions."""
    return compare(SMALL, lambda done: None)


def test_after_the_change_auc_and_bank_miss_less_than_cross_entropy(rows):
    assert misses_ratio(rows, "ce_auc_bank", "after").value < 0.9


def test_on_the_traffic_that_was_learned_training_makes_no_difference(rows):
    for name in ("ce_auc_bank", "ce_weighted"):
        assert abs(coverage_difference(rows, name, "before").value) < 0.05


def test_the_bank_is_why_batches_lack_little(rows):
    lacked = {row.recipe: row.missing_tail for row in rows}
    assert lacked["ce_auc_bank"] < lacked["ce"] / 5


def test_predictors_cover_more_than_the_last_used_of_the_same_room(rows):
    for when in ("before", "after"):
        assert min(figures(rows, "ce", when, "coverage")) > max(
            figures(rows, ON_DEMAND, when, "coverage")
        )


def test_training_is_deterministic_and_knows_its_seed():
    question = replace(SMALL, sequences=32, effort=Effort(steps=5, hidden=8))
    traces = drawn_traces(LONG_TAIL, 1, 32, 32, 0)
    for name in ("ce_auc_bank", "ce_stratified"):
        chosen = recipe(name, 4.0, question.bank)
        first, again, other = (train(question, traces, chosen, seed)[0] for seed in (3, 3, 4))
        for one, same in zip(first.parameters, again.parameters, strict=True):
            np.testing.assert_array_equal(one, same)
        assert (first.parameters[0] != other.parameters[0]).any()


def test_slopes_of_every_recipe_are_those_of_finite_differences():
    draws = np.random.default_rng(0)
    logits, members = draws.normal(size=(8, 4)), draws.random((8, 4)) < 0.5
    weights = balanced_weights(members.sum(axis=0))
    for name in RECIPES:
        chosen = recipe(name, 2.0, SMALL.bank)
        slopes, found = recipe_loss(logits, members, chosen, weights)[1], np.empty_like(logits)
        for place in np.ndindex(*logits.shape):
            step = np.zeros_like(logits)
            step[place] = 1e-5
            above, below = (
                recipe_loss(logits + sign * step, members, chosen, weights)[0] for sign in (1, -1)
            )
            found[place] = (above - below) / 2e-5
        np.testing.assert_allclose(slopes, found, atol=1e-8)


def test_a_swap_turns_the_hottest_expert_into_the_coldest():
    traces = drawn_traces(LONG_TAIL, 1, 32, 32, 0)
    before, after = (expert_copies(pool)[0] for pool in (traces.before, traces.after))
    np.testing.assert_array_equal(np.sort(before), np.sort(after))
    order = np.argsort(-traces.copies[0], kind="stable")
    np.testing.assert_array_equal(before[order], after[order[::-1]])
    back = swapped(traces.after, traces.copies)
    np.testing.assert_array_equal(back.chosen, traces.before.chosen)


def test_steps_do_not_reach_over_the_end_of_a_sequence():
    pool = RoutePool(2, np.zeros((1, 9, 1), np.uint8), np.array([5, 4]))
    assert windows(pool, 2).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]


def test_with_room_for_all_nothing_is_missed():
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    found = replay(traces.before, traces.copies, 4, Room(30, 2), None)
    assert (found.coverage, found.no_stall, found.misses) == (1.0, 1.0, 0.0)
    assert 1.0 <= found.distinct <= 4.0


def test_traces_that_cannot_be_used_are_refused():
    pool = drawn_traces(LONG_TAIL, 1, 8, 32, 0).before
    with pytest.raises(DataError, match="8 sequences is too short"):
        split_traces(pool, None)
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    seen = replace(traces.before, features=np.zeros((16 * 32, 2)))
    with pytest.raises(DataError, match="give it with shifted=FILE"):
        split_traces(seen, None)
    with pytest.raises(DataError, match="2 and no features"):
        split_traces(seen, traces.after)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipes": ("ce", "ce_auc_bnk")}, "Did you mean 'ce_auc_bank'"),
        ({"recipes": ("ce_auc",)}, "must have ce"),
        ({"room": Room(0, 2)}, "resident=0 must hold"),
        ({"room": Room(31, 2)}, "more than the 32 experts"),
        ({"seeds": 0}, "seeds=0 must be 1"),
        ({"auc_weight": 0.0}, "auc_weight=0.0 above 0"),
    ],
)
def test_questions_without_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Question(**settings)
