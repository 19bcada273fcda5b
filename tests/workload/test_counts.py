"""Empirical lengths, geometric counts and times to think against their closed forms."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.workload.counts import EmpiricalLength, GeometricCount
from simulator.workload.times import ExponentialTimes, LognormalTimes

LAW = EmpiricalLength((0.0, 0.2, 0.5, 0.6, 1.0), (3, 10, 100, 100, 500))


def test_draws_follow_the_quantiles_and_pile_up_where_these_are_flat():
    drawn = LAW.sample(np.random.default_rng(1), 40_000)
    assert drawn.mean() == pytest.approx(LAW.mean(), rel=0.02)
    assert (drawn == 100).mean() == pytest.approx(0.1, abs=0.01)
    for tokens in (3, 9, 50, 99, 100, 101, 400, 499, 500):
        assert (drawn <= tokens).mean() == pytest.approx(float(LAW.cdf(tokens)), abs=0.01)
    assert (drawn.min(), drawn.max()) == (LAW.min_tokens, LAW.max_tokens)


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.49, 0.5, 0.55, 0.7, 1.0])
def test_a_quantile_is_the_least_length_that_reaches_it(probability):
    tokens = LAW.quantile(probability)
    assert LAW.cdf(tokens) >= probability - 1e-12
    assert tokens == LAW.min_tokens or LAW.cdf(tokens - 1) < probability


@pytest.mark.parametrize("most", [1, 3, 50, 100, 300, 500, 900])
def test_a_cap_cuts_draws_and_nothing_else(most):
    capped = LAW.capped(most)
    drawn, cut = (law.sample(np.random.default_rng(2), 5000) for law in (LAW, capped))
    assert np.array_equal(np.minimum(drawn, most), cut)
    assert capped.max_tokens == min(most, 500)


@pytest.mark.parametrize(
    ("probabilities", "tokens", "words"),
    [
        ((0.0, 0.5), (1, 2), "from probability 0 to 1"),
        ((0.0, 1.0), (1, 2, 3), "2 probabilities and 3 quantiles"),
        ((0.0, 0.5, 0.5, 1.0), (1, 2, 3, 4), "at probabilities that rise"),
        ((0.0, 0.5, 1.0), (1, 9, 4), "must not fall"),
        ((0.0, 1.0), (0, 4), "1 to 10,000,000 tokens"),
    ],
)
def test_what_is_no_law_is_refused(probabilities, tokens, words):
    with pytest.raises(ConfigError, match=words):
        EmpiricalLength(probabilities, tokens)


def test_turns_end_by_chance():
    drawn = GeometricCount(4.0).sample(np.random.default_rng(3), 20_000)
    assert drawn.mean() == pytest.approx(4.0, abs=0.1)
    assert (drawn == 1).mean() == pytest.approx(0.25, abs=0.013)


def test_times_have_their_means():
    cut = LognormalTimes((0.78, 0.22), (2.45, 4.21), (1.21, 1.99), 3600.0)
    for law in (ExponentialTimes(30.0), cut):
        drawn = law.sample(np.random.default_rng(4), 100_000)
        assert drawn.mean() == pytest.approx(law.mean(), abs=4 * drawn.std() / np.sqrt(1e5))
    assert drawn.max() == pytest.approx(3600.0)
    assert "78% of median 11.6 s" in cut.assumption
