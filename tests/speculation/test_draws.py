"""What every acceptance model owes: draws that do not depend on the draft length, and its mean."""

import numpy as np
import pytest

from simulator.serving.trajectories import runs_by_round
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import MAX_DRAFT_TOKENS, RegimeConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.recorded import RecordedAcceptance
from simulator.speculation.regime import RegimeAcceptance

TREE = Candidates([3, 2], [0.3, 0.1])
MEASURED = RegimeConfig(alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97)

MODELS = {
    "iid": PositionAcceptance([0.7]),
    "by position, as a tree": PositionAcceptance([0.7, 0.5], TREE),
    "heterogeneous": HeterogeneousAcceptance(0.6, 0.5, Candidates()),
    "heterogeneous tree": HeterogeneousAcceptance(0.6, 1.5, TREE),
    "regime": RegimeAcceptance(MEASURED, Candidates()),
    "regime with look-ups": RegimeAcceptance(MEASURED, Candidates((), (), 0.5)),
    "short stretches": RegimeAcceptance(
        RegimeConfig(alpha_high=1.0, alpha_low=0.0, high_tokens=2, low_tokens=3), Candidates()
    ),
    "recorded": RecordedAcceptance(
        np.array([1, 1, 1, 7, 7]), np.array([1, 2, 3, 1, 2]), np.array([0, 4, 2, 5, 1])
    ),
}

models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def drawn(model, lengths, gamma, seed=5):
    """Runs, and the next number that the generator would give."""
    generator = np.random.default_rng(seed)
    return model.draw(np.array(lengths), gamma, generator), generator.random()


@models
@pytest.mark.parametrize("gamma", [1, 2, 5])
def test_draws_do_not_depend_on_the_draft_length(model, gamma):
    """Common random numbers: gamma caps a run, and nothing else."""
    lengths = [40, 1, 7, 300]
    longest, after = drawn(model, lengths, MAX_DRAFT_TOKENS)
    capped, after_capped = drawn(model, lengths, gamma)
    assert capped.tolist() == np.minimum(longest, gamma).tolist()
    assert after_capped == after
    assert capped.dtype == np.int64
    assert len(capped) == sum(lengths)


@models
@pytest.mark.parametrize("gamma", [1, 4])
def test_tokens_over_rounds_are_the_closed_form(model, gamma):
    """All tokens over all rounds of many long requests of equal length."""
    requests, tokens = (40, 4000) if model.by_token else (400, 500)
    rounds = []
    for seed in range(5):
        lengths = np.full(requests, tokens)
        runs, _ = drawn(model, lengths, gamma, seed)
        if not model.by_token:
            runs = runs.reshape(requests, tokens)
            steps = np.cumsum(runs + 1, axis=1)
            rounds.append((steps < tokens - 1).sum(axis=1) + 1)
        else:
            rounds.append(runs_by_round(runs, lengths, lengths - 1)[1])
    rounds = np.concatenate(rounds)
    error = 4 * rounds.std() / np.sqrt(rounds.size) + 0.5  # a last round is cut
    assert rounds.mean() == pytest.approx((tokens - 1) / model.tokens_per_round(gamma), abs=error)


@models
def test_longer_drafts_yield_more_tokens_and_none_yields_one(model):
    means = [model.tokens_per_round(gamma) for gamma in range(9)]
    assert means[0] == pytest.approx(1.0)
    assert np.diff(means).min() >= -1e-12
