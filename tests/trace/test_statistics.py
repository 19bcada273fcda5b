import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from simulator.trace.statistics import Interval, mean_interval, paired_ratio

POSITIVE = st.floats(1e-3, 1e3)


def test_the_interval_is_students():
    values = [3.1, 2.7, 3.6, 2.9, 3.3]
    found = mean_interval(values)
    low, high = t.interval(0.95, 4, np.mean(values), np.std(values, ddof=1) / math.sqrt(5))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))


def test_one_replication_has_no_interval():
    assert mean_interval([2.0]) == Interval(2.0, None, None)
    assert paired_ratio([3.0], [2.0]) == Interval(pytest.approx(1.5), None, None)


def test_equal_arms_have_a_ratio_of_exactly_one():
    assert paired_ratio([0.1, 0.37, 9.1], [0.1, 0.37, 9.1]) == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize("hole", [None, 0.0, math.nan])
def test_pairs_with_a_hole_are_left_out(hole):
    assert paired_ratio([hole, 4.0, 1.0], [1.0, 2.0, hole]) == Interval(
        pytest.approx(2.0), None, None
    )


def test_no_pair_has_no_ratio():
    assert paired_ratio([], []) is None
    assert paired_ratio([None], [1.0]) is None


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=20))
def test_swapping_the_arms_inverts_the_ratio_and_its_interval(pairs):
    above, below = zip(*pairs, strict=True)
    there, back = paired_ratio(above, below), paired_ratio(below, above)
    assert there.value * back.value == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)
    assert there.low <= there.value <= there.high


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=20), POSITIVE)
def test_units_do_not_matter(pairs, scale):
    above, below = zip(*pairs, strict=True)
    plain = paired_ratio(above, below)
    scaled = paired_ratio([scale * value for value in above], [scale * value for value in below])
    assert scaled.value == pytest.approx(plain.value, rel=1e-6)
    # Not for intervals of rounding width: their own rounding is all they hold.
    assert scaled.high == pytest.approx(plain.high, rel=1e-6)


@pytest.mark.parametrize("replications", [2, 5, 20])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says(replications, confidence):
    """Lognormal arms with a shared factor, as common random numbers give: 2,000 experiments."""
    rng = np.random.default_rng([replications, 95])
    truth, experiments, covered = 1.4, 2000, 0
    for _ in range(experiments):
        shared = rng.normal(0.0, 0.5, replications)
        above = np.exp(math.log(truth) + shared + rng.normal(0.0, 0.05, replications))
        below = np.exp(shared + rng.normal(0.0, 0.05, replications))
        found = paired_ratio(above.tolist(), below.tolist(), confidence)
        covered += found.low <= truth <= found.high
    assert binomtest(covered, experiments, confidence).pvalue > 0.001


def test_pairing_is_what_makes_the_interval_narrow():
    rng = np.random.default_rng(1)
    shared = rng.normal(0.0, 0.5, 10)
    above, below = np.exp(shared + 0.3), np.exp(shared + rng.normal(0.0, 0.01, 10))
    paired = paired_ratio(above.tolist(), below.tolist())
    shuffled = paired_ratio(above.tolist(), np.roll(below, 1).tolist())
    assert paired.high / paired.low < 1.02 < shuffled.high / shuffled.low
