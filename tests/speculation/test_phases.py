"""Traffic with phases: what a round yields, how long phases last, and settings that are refused."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.config import PhasesConfig, SpeculationConfig

PHASES = {"alpha_easy": 0.9, "alpha_hard": 0.4, "own_share": 0.85, "stretch_requests": 50.0}


def model(**changes):
    config = SpeculationConfig(
        gamma=6, acceptance="phases", phases=PhasesConfig(**(PHASES | changes))
    )
    return ACCEPTANCE.get("phases")(config)


def first_accepted(acceptance, requests=20_000, tokens=20):
    """Share of the rounds of each request whose first token is accepted."""
    runs = acceptance.draw(np.full(requests, tokens), 1, np.random.default_rng(4))
    return runs.reshape(requests, tokens).mean(axis=1)


def test_the_tokens_of_a_round_are_all_tokens_over_all_rounds():
    """Every draw is a round: a request of n tokens that emits t a round has n / t of them."""
    acceptance, tokens = model(), 400
    runs = acceptance.draw(np.full(4000, tokens), 3, np.random.default_rng(1))
    by_request = 1.0 + runs.reshape(4000, tokens).mean(axis=1)
    assert acceptance.tokens_per_round(3) == pytest.approx(1 / (1 / by_request).mean(), rel=0.02)


def test_in_between_shares_lie_between_the_kinds():
    acceptance = model()
    easy, mixed, hard = (acceptance.tokens_per_round_of(3, share) for share in (1.0, 0.5, 0.0))
    assert easy == pytest.approx(sum(0.9**k for k in range(4)))
    assert hard == pytest.approx(sum(0.4**k for k in range(4)))
    assert hard < mixed < easy


def test_requests_near_each_other_are_alike_for_as_long_as_a_phase_lasts():
    """Kinds correlate by ``(2 own - 1)^2 (1 - 2 / stretch)^lag``."""
    easy = first_accepted(model()) > 0.65
    score = easy - easy.mean()
    for lag in (1, 25, 200):
        measured = (score[lag:] * score[:-lag]).mean() / score.var()
        expected = 0.7**2 * (1 - 2 / 50) ** lag
        assert measured == pytest.approx(expected, abs=0.03)


def test_without_mixing_a_phase_has_one_kind():
    easy = first_accepted(model(own_share=1.0), requests=2000, tokens=60) > 0.65
    assert np.abs(np.diff(easy.astype(int))).sum() < 120  # 40 changes of phase are expected


def test_draws_do_not_depend_on_the_draft_length():
    lengths = np.array([30, 5, 70])
    short, long = (model().draw(lengths, gamma, np.random.default_rng(7)) for gamma in (2, 5))
    assert (short == np.minimum(long, 2)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha_hard": 0.95}, "not above the easy one"),
        ({"alpha_easy": 1.1}, "must be rates in"),
        ({"own_share": 0.4}, r"own_share=0.4 must lie in \[0.5, 1\]"),
        ({"own_share": float("nan")}, "own_share=nan"),
        ({"stretch_requests": 1.0}, "stretch_requests=1.0 must lie in 2..1e9"),
    ],
)
def test_impossible_phases_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PhasesConfig(**(PHASES | change))


def test_phases_belong_to_their_kind_and_it_needs_them():
    with pytest.raises(ConfigError, match="the ones of speculation=phases"):
        SpeculationConfig(acceptance="phases")
    with pytest.raises(ConfigError, match=r"has no effect with .*=iid"):
        SpeculationConfig(alpha=0.5, phases=PhasesConfig(**PHASES))
