"""Closed forms against Monte Carlo, limits and the paper's own figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.speculation.theory import (
    expected_tokens_per_round,
    saturation_tokens,
    sigma,
    speedup,
)

alphas = st.floats(0, 1)
gammas = st.integers(0, 16)


@given(alphas, gammas)
def test_a_round_yields_the_geometric_sum(alpha, gamma):
    assert expected_tokens_per_round(alpha, gamma) == pytest.approx(
        sum(alpha**i for i in range(gamma + 1)), rel=1e-9
    )


@given(alphas, gammas)
def test_sigma_is_a_share(alpha, gamma):
    assert 1 / (gamma + 1) - 1e-12 <= sigma(alpha, gamma) <= 1 + 1e-12


def test_limits():
    assert expected_tokens_per_round(1.0, 4) == 5
    assert expected_tokens_per_round(0.0, 4) == 1
    assert sigma(0.3, 0) == 1


def test_vectorised():
    table = expected_tokens_per_round(np.array([[0.5], [1.0]]), np.arange(3))
    assert table.tolist() == [[1.0, 1.5, 1.75], [1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("gamma", "published", "low", "high"),
    [(2, 0.94, 0.94, 0.96), (3, 0.93, 0.94, 0.96), (4, 0.91, 0.94, 0.96), (4, 0.55, 0.67, 0.70)],
)
def test_one_alpha_explains_the_published_sigmas(gamma, published, low, high):
    """MoESD table 1: HumanEval at temperature 0, and MT-Bench; sigma rounds to two digits."""
    grid = np.linspace(0, 1, 2001)
    matching = grid[np.abs(sigma(grid, gamma) - published) <= 0.005]
    assert matching.size
    assert matching.min() < high
    assert matching.max() > low


@pytest.mark.parametrize(
    ("experts", "top_k", "published"), [(64, 8, 23), (8, 2, 11), (64, 6, 31), (60, 4, 44)]
)
def test_saturation_tokens(experts, top_k, published):
    """MoESD eq. 9 at tau = 0.95 for Qwen2-57B, Mixtral, DeepSeek-V2-Lite and Qwen1.5-MoE."""
    assert saturation_tokens(experts, top_k) == published


@pytest.mark.parametrize("arguments", [(8, 8, 0.95), (8, 0, 0.95), (8, 2, 1.0), (8, 2, 0.0)])
def test_saturation_of_nothing_is_refused(arguments):
    with pytest.raises(ConfigError, match="saturation_tokens needs"):
        saturation_tokens(*arguments)


def test_speedup_recovers_the_published_round():
    """MoESD table 1, HumanEval T=0, gamma 4: 15.93 ms to 7.31 ms a token at sigma .91 is x 2.18."""
    round_ms = 7.31 * 0.91 * 5
    overhead_ms = round_ms - 15.93 / 0.704
    found = speedup(0.91 * 5, overhead_ms / 15.93, 1 / 0.704, 0.0)
    assert found == pytest.approx(2.18, abs=0.005)
