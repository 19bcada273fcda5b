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
from simulator.study.prefetch.predictors import train
from simulator.study.prefetch.question import LONG_TAIL, Question
from simulator.study.prefetch.replay import Replayed, Room
from simulator.study.prefetch.shift import (
    ON_DEMAND,
    ORACLE,
    Row,
    compare,
    coverage_difference,
    misses_ratio,
    spared_share,
)
from simulator.study.prefetch.traces import (
    Recorded,
    check_recorded,
    drawn_traces,
    expert_copies,
    split_traces,
    swapped,
)
from simulator.study.prefetch.training import Effort
from tests.helpers.prefetch import here

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
    return compare(SMALL, here())


def test_after_the_change_auc_and_bank_miss_less_than_cross_entropy(rows):
    assert misses_ratio(rows, "ce_auc_bank", "after").value < 0.9


def test_on_the_traffic_that_was_learned_training_makes_no_difference(rows):
    # There is room for one: cross-entropy is well off what is possible.
    assert spared_share(rows, "ce", "before").value < 0.85
    assert abs(coverage_difference(rows, "ce_auc_bank", "before").value) < 0.05


def test_the_bank_is_why_batches_lack_little(rows):
    lacked = {row.recipe: row.missing_tail for row in rows}
    assert lacked["ce_auc_bank"] < lacked["ce"] / 5


def test_predictors_cover_more_than_the_last_used_of_the_same_room(rows):
    for name in SMALL.recipes:
        assert spared_share(rows, name, "before").value > 0.1
    assert spared_share(rows, "ce_auc_bank", "after").value > 0.1


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


def test_traces_that_cannot_be_used_are_refused():
    pool = drawn_traces(LONG_TAIL, 1, 8, 32, 0).before
    with pytest.raises(DataError, match="8 sequences is too short"):
        check_recorded(Recorded(pool))
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    seen = replace(traces.before, features=np.zeros((16 * 32, 2)))
    with pytest.raises(DataError, match="give it with shifted=FILE"):
        check_recorded(Recorded(seen))
    with pytest.raises(DataError, match="2 and no features"):
        check_recorded(Recorded(seen, traces.after))


def test_repetitions_split_recorded_routes_in_ways_of_their_own():
    recorded = Recorded(drawn_traces(LONG_TAIL, 1, 16, 32, 0).before)
    one, again, other = (split_traces(recorded, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.learned.chosen, again.learned.chosen)
    assert (one.learned.chosen != other.learned.chosen).any()
    total = expert_copies(one.learned) + expert_copies(one.before)
    np.testing.assert_array_equal(total, expert_copies(recorded.before))


def test_sequences_of_many_lengths_can_be_learned_from():
    pool = drawn_traces(LONG_TAIL, 1, 16, 32, 0).before
    cut = RoutePool(pool.experts, pool.chosen, np.tile([32, 96], 4))
    question = replace(SMALL, effort=Effort(steps=8, hidden=8))
    train(question, split_traces(Recorded(cut)), question.recipe("ce_auc_bank"), 0)


def row(name, misses):
    found = Replayed(coverage=0.0, no_stall=0.0, misses=misses, prefetched=0.0, distinct=1.0)
    return Row(name, 0, found, found, {}, 0.0)


def test_ratios_of_misses_hold_where_some_repetitions_miss_nothing():
    rows = [row("ce", 0.2), row("ce", 0.0), row("ce_auc", 0.1), row("ce_auc", 0.5)]
    assert misses_ratio(rows, "ce_auc", "before").value == pytest.approx(3.0)
    assert misses_ratio([row("ce", 0.0), row("ce_auc", 0.1)], "ce_auc", "before") is None


def test_what_is_spared_is_told_against_the_oracle():
    rows = [row(ON_DEMAND, 1.0), row(ORACLE, 0.2), row("ce", 0.6)]
    assert spared_share(rows, "ce", "before").value == pytest.approx(0.5)
    assert spared_share(rows, ORACLE, "before").value == 1.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipes": ("ce", "ce_auc_bnk")}, "Did you mean 'ce_auc_bank'"),
        ({"recipes": ("ce_auc",)}, "must have ce"),
        ({"room": Room(0, 2)}, "resident=0 must hold"),
        ({"room": Room(31, 2)}, "more than the 32 experts"),
        ({"seeds": 0}, "seeds=0 must be 1"),
        ({"auc_weight": 0.0}, "auc_weight=0.0 above 0"),
        ({"view_noise": float("inf")}, "view_noise=inf must be"),
        ({"recipes": ("ce", "ce")}, "names one twice"),
        ({"sequences": 0}, "sequences=0 must be 8"),
        ({"tokens": 8}, "tokens=8 must be 32"),
    ],
)
def test_questions_without_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Question(**settings)
