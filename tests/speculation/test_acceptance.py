"""Acceptance models: distribution, caps, and the closed form they must agree with."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.speculation.acceptance import ACCEPTANCE, PositionAcceptance
from simulator.speculation.config import MAX_DRAFT_TOKENS, SpeculationConfig
from simulator.speculation.theory import expected_tokens_per_round

rates = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def uniforms(count):
    return np.random.default_rng(3).random(count)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.68, 0.95, 1.0])
@pytest.mark.parametrize("gamma", [1, 4, 8])
def test_mean_tokens_agree_with_the_closed_form(alpha, gamma):
    model = PositionAcceptance([alpha])
    closed = float(expected_tokens_per_round(alpha, gamma))
    assert model.tokens_per_round(gamma) == pytest.approx(closed, rel=1e-9)
    sample = 1 + model.accepted(uniforms(400_000), gamma)
    error = 4 * sample.std() / math.sqrt(sample.size)
    assert abs(sample.mean() - closed) <= error + 1e-12


@given(rates)
def test_survival_is_the_product_of_conditional_rates(alphas):
    model = PositionAcceptance(alphas)
    assert len(model.survival) == MAX_DRAFT_TOKENS
    expected = 1.0
    for position in range(MAX_DRAFT_TOKENS):
        expected *= alphas[min(position, len(alphas) - 1)]
        assert model.survival[position] == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(rates, st.integers(0, 30))
def test_run_lengths_are_monotone_in_the_draw(alphas, gamma):
    lengths = PositionAcceptance(alphas).accepted(np.linspace(0, 0.999, 50), gamma)
    assert (np.diff(lengths) <= 0).all()
    assert lengths.min() >= 0


@given(rates, st.integers(0, 30))
def test_a_longer_draft_accepts_the_same_run_capped_later(alphas, gamma):
    """Common random numbers: the run length is one draw, gamma only caps it."""
    model, draws = PositionAcceptance(alphas), uniforms(200)
    uncapped = model.accepted(draws, MAX_DRAFT_TOKENS)
    assert model.accepted(draws, gamma).tolist() == np.minimum(uncapped, gamma).tolist()


@given(rates)
def test_run_lengths_invert_the_survival_function(alphas):
    model, draws = PositionAcceptance(alphas), uniforms(200)
    inverted = np.searchsorted(-model.survival, -draws, side="left")
    assert model.accepted(draws, MAX_DRAFT_TOKENS).tolist() == inverted.tolist()


def test_kinds_build_from_settings():
    one = ACCEPTANCE.get("iid")(SpeculationConfig(alpha=0.5))
    two = ACCEPTANCE.get("by_position")(
        SpeculationConfig(acceptance="by_position", alphas=[0.9, 0.1])
    )
    assert one.tokens_per_round(2) == pytest.approx(1.75)
    assert two.tokens_per_round(2) == pytest.approx(1.99)


def test_deepseek_v4_mtp_profile_reproduces_its_published_acceptance_lengths():
    """InferenceX golden acceptance lengths, DeepSeek-V4-Pro MTP: 1.79, 2.27, 2.49, 2.54."""
    model = PositionAcceptance([0.79, 0.61, 0.46, 0.23])
    found = [model.tokens_per_round(gamma) for gamma in (1, 2, 3, 4)]
    assert found == pytest.approx([1.79, 2.27, 2.49, 2.54], abs=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": -1, "alpha": 0.5}, "speculation.gamma=-1 must lie in 0..64"),
        ({"gamma": 65, "alpha": 0.5}, "speculation.gamma=65"),
        ({"alpha": 1.2}, "speculation.alpha=1.2 must lie in"),
        ({"alpha": float("nan")}, "speculation.alpha=nan"),
        ({"acceptance": "by_position", "alphas": [0.5, -0.1]}, r"speculation.alphas\[1\]=-0.1"),
        (
            {"acceptance": "by_position"},
            r"speculation.alphas=\[\] but speculation.acceptance=by_position needs it",
        ),
        ({}, "speculation.alpha=null"),
        ({"alpha": 0.5, "alphas": [0.5]}, "has no effect with"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SpeculationConfig(**settings)


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'by_position'"):
        ACCEPTANCE.get("byposition", "speculation.acceptance")
