"""Length laws: samples agree with the closed forms, and the closed forms with each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from simulator.errors import ConfigError
from simulator.workload.lengths import FixedLength, LognormalMixture, UniformLength
from simulator.workload.presets import preset_names, read_preset

SHIPPED = [
    pytest.param(getattr(read_preset(name), part), id=f"{name}-{part}")
    for name in preset_names()
    for part in ("prompt", "output")
]


def mixture(**changes):
    fields = {
        "weights": (0.4, 0.6),
        "mu": (3.0, 6.0),
        "sigma": (0.5, 0.8),
        "min_tokens": 5,
        "max_tokens": 900,
    }
    return LognormalMixture(**{**fields, **changes})


def pmf(law):
    tokens = np.arange(law.min_tokens - 1, law.max_tokens + 1)
    return tokens[1:], np.diff(law.cdf(tokens))


@pytest.mark.parametrize("law", SHIPPED)
def test_sample_mean_agrees_with_the_closed_form(law):
    n = 200_000
    sample = law.sample(np.random.default_rng(1), n)
    tokens, share = pmf(law)
    deviation = np.sqrt((share * (tokens - law.mean()) ** 2).sum())
    assert abs(sample.mean() - law.mean()) < 4 * deviation / np.sqrt(n)


@pytest.mark.parametrize("law", SHIPPED)
@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9, 0.99])
def test_sample_quantiles_agree_with_the_closed_form(law, probability):
    n = 200_000
    sample = law.sample(np.random.default_rng(2), n)
    # Shares at or below and below the quantile must bracket the probability, within 4 sigma.
    quantile = law.quantile(probability)
    slack = 4 * np.sqrt(probability * (1 - probability) / n)
    assert (sample < quantile).mean() < probability + slack
    assert (sample <= quantile).mean() > probability - slack


@pytest.mark.parametrize("law", SHIPPED)
def test_sample_distribution_agrees_with_the_cdf(law):
    n = 100_000
    sample = np.sort(law.sample(np.random.default_rng(3), n))
    tokens = np.unique(sample)
    empirical = np.searchsorted(sample, tokens, side="right") / n
    # Kolmogorov: P(sqrt(n) D > 2.2) < 1.3e-4, and less for a law with atoms.
    assert np.abs(empirical - law.cdf(tokens)).max() < 2.2 / np.sqrt(n)


@pytest.mark.parametrize("law", SHIPPED)
def test_rounding_moves_the_mean_by_less_than_a_hundredth_of_a_token(law):
    tokens, share = pmf(law)
    assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert (tokens * share).sum() == pytest.approx(law.mean(), abs=0.01)


def test_mean_agrees_with_numerical_integration():
    law = mixture()
    parts = [stats.lognorm(s, scale=np.exp(mu)) for mu, s in zip(law.mu, law.sigma, strict=True)]

    def density(x):
        return sum(w * part.pdf(x) for w, part in zip(law.weights, parts, strict=True))

    body, _ = integrate.quad(lambda x: x * density(x), 5, 900, limit=200)
    below, _ = integrate.quad(density, 0, 5)
    above, _ = integrate.quad(density, 900, np.inf)
    assert law.mean() == pytest.approx(5 * below + body + 900 * above, rel=1e-7)


def test_clipping_puts_the_tail_at_the_cap():
    law = mixture(max_tokens=300)
    sample = law.sample(np.random.default_rng(4), 100_000)
    share = 1 - law.cdf(299)
    assert sample.max() == 300
    assert share > 0.2
    assert (sample == 300).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 100_000))


def test_cdf_is_zero_below_and_one_from_the_cap():
    law = mixture()
    assert law.cdf([-3, 0, 4]).tolist() == [0, 0, 0]
    assert law.cdf([900, 10_000]).tolist() == [1, 1]
    assert 0 < law.cdf(5) < law.cdf(899) < 1


def test_huge_sigma_neither_overflows_nor_leaves_the_range():
    law = mixture(sigma=(300.0, 500.0))
    sample = law.sample(np.random.default_rng(5), 10_000)
    assert set(np.unique(sample)) >= {5, 900}
    assert sample.min() == 5
    assert sample.max() == 900
    assert 5 < law.mean() < 900


def test_a_cap_below_the_minimum_wins():
    law = mixture().capped(3)
    assert law.sample(np.random.default_rng(6), 10).tolist() == [3] * 10
    assert law.mean() == pytest.approx(3)


def test_fixed_length_is_its_own_distribution():
    law = FixedLength(128)
    assert law.sample(np.random.default_rng(0), 3).tolist() == [128] * 3
    assert (law.mean(), law.min_tokens, law.max_tokens) == (128, 128, 128)
    assert law.cdf([127, 128, 129]).tolist() == [0, 1, 1]
    assert law.capped(64) == FixedLength(64)
    assert law.capped(256) == law


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"weights": (1.0,)}, "all three"),
        ({"weights": (0.4, 0.7)}, "sum to 1"),
        ({"weights": (-0.4, 1.4)}, "positive"),
        ({"weights": (float("nan"), 0.5)}, "positive"),
        ({"sigma": (0.0, 1.0)}, "sigma"),
        ({"mu": (float("inf"), 1.0)}, "finite"),
        ({"min_tokens": 0}, "range"),
        ({"min_tokens": 901}, "range"),
        ({"max_tokens": 10**8}, "range"),
    ],
)
def test_parameters_that_make_no_distribution_are_refused(changes, word):
    with pytest.raises(ConfigError, match=word):
        mixture(**changes)


@settings(max_examples=60)
@given(
    mu=st.floats(-2, 12),
    sigma=st.floats(0.01, 4),
    low=st.integers(1, 50),
    width=st.integers(0, 5000),
    probability=st.floats(1e-6, 1),
)
def test_quantile_is_the_least_length_reaching_the_probability(mu, sigma, low, width, probability):
    law = LognormalMixture((1.0,), (mu,), (sigma,), low, low + width)
    quantile = law.quantile(probability)
    assert law.cdf(quantile) >= probability
    assert quantile == low or law.cdf(quantile - 1) < probability
    assert low - 1e-9 <= law.mean() <= low + width + 1e-9


@given(
    shortest=st.integers(1, 3000),
    width=st.integers(1, 2000),  # scipy divides by the width
    probability=st.floats(0.001, 1.0),
)
def test_a_uniform_range_is_scipys_randint(shortest, width, probability):
    law = UniformLength(shortest, shortest + width)
    peer = stats.randint(shortest, shortest + width + 1)
    tokens = np.arange(shortest - 2, shortest + width + 3)
    assert law.cdf(tokens) == pytest.approx(peer.cdf(tokens))
    assert law.mean() == pytest.approx(peer.mean())
    assert abs(law.quantile(probability) - peer.ppf(probability)) <= 1  # rounding of p (n + 1)
    sample = law.sample(np.random.default_rng(0), 200)
    assert sample.min() >= law.min_tokens
    assert sample.max() <= law.max_tokens
    assert law.capped(shortest) == UniformLength(shortest, shortest)


@pytest.mark.parametrize("bounds", [(0, 5), (7, 6)])
def test_a_uniform_range_that_is_none_is_refused(bounds):
    with pytest.raises(ConfigError, match="shortest"):
        UniformLength(*bounds)
