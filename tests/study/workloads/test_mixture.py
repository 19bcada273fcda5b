"""EM recovers what lengths were drawn from, capped and floored ones included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError
from simulator.study.workloads import mixture
from simulator.study.workloads.goodness import ks_distance
from simulator.study.workloads.lengths import CountedLengths
from simulator.study.workloads.mixture import fit_mixture
from simulator.workload.lengths import LognormalMixture


def drawn(law, n=20_000, seed=1):
    lengths = CountedLengths()
    lengths.add(law.sample(np.random.default_rng(seed), n))
    return lengths


def test_two_components_are_found():
    law = LognormalMixture((0.7, 0.3), (4.6, 7.0), (0.6, 0.2), 1, 100_000)
    fit = fit_mixture(drawn(law), max_components=6)
    assert len(fit.weights) == 2
    found = sorted(zip(fit.mu, fit.sigma, fit.weights, strict=True))
    np.testing.assert_allclose(found, [(4.6, 0.6, 0.7), (7.0, 0.2, 0.3)], rtol=0.03)


def test_a_cap_and_a_floor_do_not_bend_the_law():
    law = LognormalMixture((1.0,), (6.0,), (1.0,), 300, 900)  # 29 % below, 21 % above
    fit = fit_mixture(drawn(law), max_components=3)
    assert (len(fit.weights), fit.min_tokens, fit.max_tokens) == (1, 300, 900)
    assert fit.mu[0] == pytest.approx(6.0, abs=0.03)
    assert fit.sigma[0] == pytest.approx(1.0, abs=0.04)


def test_a_peak_at_one_length_is_a_narrow_component():
    lengths = drawn(LognormalMixture((1.0,), (5.0,), (0.8,), 1, 5000), 5000)
    lengths.add(np.full(1500, 396))
    fit = fit_mixture(lengths, max_components=5)
    assert min(fit.sigma) < 0.01
    assert ks_distance(fit, lengths) < 0.02


def test_steps_never_lower_the_likelihood():
    law = LognormalMixture((0.5, 0.5), (3.0, 6.0), (0.5, 1.0), 5, 2000)
    data = mixture._grouped(drawn(law, 2000))
    now = mixture._Mixture(np.array([0.5, 0.5]), np.array([2.0, 8.0]), np.array([0.3, 0.3]))
    likelihoods = []
    for _ in range(25):
        now, likelihood = mixture._step(data, now)
        likelihoods.append(likelihood)
    assert np.all(np.diff(likelihoods) > -1e-6)
    assert likelihoods[-1] > likelihoods[0]


@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=30))
@settings(max_examples=8)
def test_any_lengths_have_a_law_on_their_range(tokens):
    lengths = CountedLengths()
    lengths.add(np.array(tokens))
    fit = fit_mixture(lengths, max_components=2)
    assert (fit.min_tokens, fit.max_tokens) == (min(tokens), max(tokens))


def test_moments_of_a_truncated_normal():
    """Against numerical integration, wide, narrow, far out and half open."""
    low = np.array([-1.0, 0.3, 6.0, -np.inf, 2.0, -9.0])
    high = np.array([2.0, 0.3001, 6.5, -3.0, np.inf, 9.0])
    mean, square = mixture._moments(low, high, mixture._log_mass(low, high))
    for i, (a, b) in enumerate(zip(np.maximum(low, -40), np.minimum(high, 40), strict=True)):
        x = np.linspace(a, b, 400_001)
        density = np.exp(-0.5 * (x**2 - min(a**2, b**2) * (a * b > 0)))
        assert mean[i] == pytest.approx(np.average(x, weights=density), rel=1e-4, abs=1e-6)
        assert square[i] == pytest.approx(np.average(x**2, weights=density), rel=1e-4)


def test_nothing_to_fit():
    with pytest.raises(DataError, match="no request"):
        fit_mixture(CountedLengths(), max_components=2)
