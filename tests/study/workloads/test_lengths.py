"""Lengths counted in bins: exact where bins are, 0.1 % off beyond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.workloads.goodness import ks_between, ks_distance
from simulator.study.workloads.lengths import EXACT_TOKENS, CountedLengths
from simulator.workload.lengths import LognormalMixture
from simulator.workload.requests import MAX_TOKENS


def counted(*blocks):
    lengths = CountedLengths()
    for block in blocks:
        lengths.add(np.array(block, dtype=np.int64))
    return lengths


@settings(max_examples=40)
@given(st.lists(st.integers(1, EXACT_TOKENS), min_size=1, max_size=80), st.integers(0, 80))
def test_short_lengths_are_exact(tokens, cut):
    lengths = counted(tokens[:cut], tokens[cut:])
    assert lengths.mean == pytest.approx(np.mean(tokens))
    for probability in (0.01, 0.5, 0.9, 0.99, 1.0):
        expected = np.quantile(tokens, probability, method="inverted_cdf")
        assert lengths.quantile(probability) == expected
    assert (lengths.shortest, lengths.longest) == (min(tokens), max(tokens))


@settings(max_examples=40)
@given(st.integers(1, MAX_TOKENS))
def test_any_length_falls_into_a_bin_around_it(tokens):
    (first,), (last,), (count,) = counted([tokens, tokens]).bins()
    assert first <= tokens <= last
    assert last <= 1.0011 * first
    assert count == 2


def test_no_bin_ends_beyond_the_longest():
    lengths = counted([100_000, 3_000_000])
    assert lengths.figures()["max"] == 3_000_000
    assert lengths.quantile(1.0) == 3_000_000


def test_distances_between_distributions():
    law = LognormalMixture((1.0,), (5.0,), (0.5,), 1, 4096)
    drawn = law.sample(np.random.default_rng(2), 20_000)
    assert ks_distance(law, counted(drawn)) < 1.63 / np.sqrt(20_000)  # 1 % level, continuous
    assert ks_distance(law, counted(2 * drawn)) > 0.4
    first, second = counted([1, 1, 2, 3]), counted([1, 2, 2, 9])
    assert ks_between(first, second) == ks_between(second, first) == 0.25
    assert ks_between(first, first) == 0.0


def test_a_pile_just_below_the_law_s_is_seen():
    law = LognormalMixture((1.0,), (9.0,), (0.01,), 1, 100)
    assert ks_distance(law, counted([99, 99, 100])) == pytest.approx(2 / 3)
