"""Easy and hard text: stretches, means by round, and how far windows of rounds swing."""

import numpy as np
import pytest

from simulator.serving.trajectories import runs_by_round
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig, SpeculationConfig
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.regime import RegimeAcceptance
from simulator.speculation.text_states import TextStates

MEASURED = RegimeConfig(alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97)
TOKENS = 400_000


def model(**settings):
    values = {"alpha_high": 0.836, "alpha_low": 0.524, "high_tokens": 40, "low_tokens": 97}
    return RegimeAcceptance(RegimeConfig(**(values | settings)), Candidates())


def in_rounds(regime, gamma, seed):
    """Accepted tokens by round of one long text."""
    lengths = np.array([TOKENS])
    runs = regime.draw(lengths, gamma, np.random.default_rng(seed))
    return runs_by_round(runs, lengths, lengths - 1)[0]


def test_stretches_have_the_given_lengths_and_share():
    lengths = np.array([TOKENS, TOKENS])
    high = TextStates(40, 97).draw(lengths, np.random.default_rng(3))
    assert high.mean() == pytest.approx(40 / 137, abs=0.01)
    ends = np.flatnonzero(np.diff(high[:TOKENS])) + 1
    stretches = np.diff(ends)
    first_is_high = bool(high[ends[0]])
    easy, hard = stretches[0 if first_is_high else 1 :: 2], stretches[int(first_is_high) :: 2]
    assert easy.mean() == pytest.approx(40, rel=0.05)
    assert hard.mean() == pytest.approx(97, rel=0.05)
    assert easy.std() == pytest.approx(40, rel=0.1)  # geometric, so as wide as long


def test_every_request_begins_in_the_stationary_distribution():
    lengths = np.full(100_000, 3)
    high = TextStates(40, 97).draw(lengths, np.random.default_rng(3)).reshape(-1, 3)
    assert high.mean(axis=0) == pytest.approx([40 / 137] * 3, abs=0.006)
    same = (high[1:, 0] == high[:-1, -1]).mean()
    share = 40 / 137
    assert same == pytest.approx(share**2 + (1 - share) ** 2, abs=0.006), "requests share no state"


@pytest.mark.parametrize("gamma", [1, 3, 8])
@pytest.mark.parametrize("rounds", [2, 10, 50])
def test_windows_of_rounds_swing_as_the_formula_says(gamma, rounds):
    regime = model(alpha_high=0.95, alpha_low=0.3)
    ratios = []
    for seed in range(3):
        accepted = in_rounds(regime, gamma, seed)
        accepted = accepted[: len(accepted) // rounds * rounds].reshape(-1, rounds)
        ratios.append(rounds * accepted.mean(axis=1).var() / accepted.var())
    assert np.mean(ratios) == pytest.approx(regime.variance_inflation(gamma, rounds), rel=0.06)


def test_independent_rounds_have_no_inflation():
    assert model(alpha_high=0.6, alpha_low=0.6).variance_inflation(3, 10) == pytest.approx(1.0)
    assert model().variance_inflation(3, 1) == 1.0
    for rate in (0.0, 1.0):
        assert model(alpha_high=rate, alpha_low=rate).variance_inflation(3, 10) == 1.0


def test_the_measured_values_reproduce_what_was_measured():
    """9,149 rounds at gamma 3: acceptance length 2.21, windows of about 10 rounds vary 2.08 times
    as much as independent ones."""
    regime = model()
    assert regime.tokens_per_round(3) == pytest.approx(2.21, abs=0.03)
    assert regime.variance_inflation(3, 10) == pytest.approx(2.08, abs=0.15)


def test_hard_text_has_more_of_the_rounds_than_of_the_tokens():
    """So the mean is below that of the tokens' shares."""
    regime = model()
    easy, hard = (PositionAcceptance([rate]).tokens_per_round(3) for rate in (0.836, 0.524))
    share = regime.high_share
    assert regime.tokens_per_round(3) < share * easy + (1 - share) * hard
    assert regime.tokens_per_round(3) > hard


def test_long_stretches_are_two_texts():
    """Rounds over tokens is then the mean over tokens of either rate's."""
    regime = model(high_tokens=1e7, low_tokens=1e7)
    easy, hard = (PositionAcceptance([rate]).tokens_per_round(3) for rate in (0.836, 0.524))
    assert regime.tokens_per_round(3) == pytest.approx(2 / (1 / easy + 1 / hard), rel=1e-5)


def test_the_kind_builds_from_settings():
    settings = SpeculationConfig(acceptance="regime", regime=MEASURED)
    built = ACCEPTANCE.get("regime")(settings)
    assert built.by_token
    assert built.tokens_per_round(3) == model().tokens_per_round(3)
