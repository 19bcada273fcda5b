"""Requests that differ: their rates, and means against numerical integration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.position import PositionAcceptance


@settings(max_examples=20)
@given(st.floats(0.02, 0.98), st.floats(0.01, 4), st.integers(1, 8))
def test_the_mean_is_the_integral_over_requests(alpha, spread, gamma):
    model = HeterogeneousAcceptance(alpha, spread, Candidates())

    def rounds_per_token(score):
        (rate,) = model.rates(np.array([score])).tolist()
        density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
        return density / sum(rate**position for position in range(gamma + 1))

    integral, _ = quad(rounds_per_token, -8, 8, limit=200)
    assert model.tokens_per_round(gamma) == pytest.approx(1 / integral, rel=1e-6)


def test_rates_have_the_given_median_and_spread_on_the_logit():
    model = HeterogeneousAcceptance(0.7, 0.5, Candidates())
    rates = model.rates(np.random.default_rng(2).standard_normal(100_000))
    logits = np.log(rates / (1 - rates))
    assert np.median(rates) == pytest.approx(0.7, abs=0.003)
    assert logits.std() == pytest.approx(0.5, rel=0.01)


def test_the_measured_spread_is_that_of_the_published_fit():
    """Beta(34, 22) on the first position: standard deviation .065, with a mean of .605."""
    rates = HeterogeneousAcceptance(0.607, 0.28, Candidates()).rates(
        np.random.default_rng(2).standard_normal(100_000)
    )
    assert rates.std() == pytest.approx(0.065, abs=0.002)
    assert rates.mean() == pytest.approx(0.605, abs=0.002)


def test_every_draw_of_a_request_has_its_rate():
    """Runs within a request are independent, requests are what differs."""
    model = ACCEPTANCE.get("heterogeneous")(
        SpeculationConfig(acceptance="heterogeneous", alpha=0.6, alpha_spread=1.0)
    )
    each, requests = 200, 4000
    runs = model.draw(np.full(requests, each), 1, np.random.default_rng(8))
    means = runs.reshape(requests, each).mean(axis=1)
    rates = model.rates(np.random.default_rng(9).standard_normal(400_000))
    within = (rates * (1 - rates)).mean() / each
    assert means.var() == pytest.approx(rates.var() + within, rel=0.06)
    halves = runs.reshape(requests, 2, -1).mean(axis=2)
    assert np.corrcoef(halves.T)[0, 1] > 0.9


@pytest.mark.parametrize("alpha", [5e-324, 1 - 2**-53])
def test_rates_at_the_ends_stay_rates(alpha):
    model = HeterogeneousAcceptance(alpha, 10.0, Candidates())
    assert 1.0 <= model.tokens_per_round(4) <= 5.0
    rates = model.rates(np.array([-40.0, 40.0]))
    assert (rates >= 0.0).all()
    assert (rates <= 1.0).all()


def test_a_vanishing_spread_is_one_rate():
    close = HeterogeneousAcceptance(0.7, 1e-9, Candidates())
    assert close.tokens_per_round(4) == pytest.approx(PositionAcceptance([0.7]).tokens_per_round(4))
