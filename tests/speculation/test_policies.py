"""Draft-length policies: what each decides, and that it decides well."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.curves import Window
from simulator.errors import ConfigError
from simulator.speculation.acceptance import PositionAcceptance
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.estimate import AcceptanceEstimate
from simulator.speculation.policies import POLICIES, CostModel, Telemetry, Threshold

NOTHING = np.empty(0, np.int64)


def priced(seconds):
    """Lines of a step time that depends on draft length and batch, and on no context."""
    return lambda gamma, requests, _: Window(seconds(gamma, requests), 0.0, 0, 10**9, 0.0)


SECOND = priced(lambda *_: 1.0)


def make(policy, price=SECOND, **settings):
    """Make a policy as a scenario does."""
    config = SpeculationConfig(alpha=0.7, policy=policy, **({"gamma": 4} | settings))
    return POLICIES.get(policy)(config, price)


def drive(policy, acceptance, steps, *, requests=16, seed=3):
    """Ask a policy step after step; return the draft lengths it chose."""
    generator = np.random.default_rng(seed)
    gamma, accepted, chosen = 0, NOTHING, []
    for _ in range(steps):
        gamma = policy.decide(Telemetry(requests, 100 * requests, gamma, accepted))
        accepted = acceptance.accepted(generator.random(requests), gamma)
        chosen.append(gamma)
    return chosen


def test_fixed_never_changes():
    assert set(drive(make("fixed"), PositionAcceptance([0.5]), 20)) == {4}


@given(st.integers(1, 5), st.integers(1, 300))
def test_a_batch_schedule_is_looked_up(rows, batch):
    schedule = [[1 + 10 * i, 10 * (i + 1), i % 4] for i in range(rows)]
    policy = make("batch_schedule", schedule=schedule)
    inside = [gamma for first, last, gamma in schedule if first <= batch <= last]
    expected = inside[0] if inside else schedule[-1][2]
    assert policy.decide(Telemetry(batch, 0, 0, NOTHING)) == expected


@pytest.mark.parametrize(("alpha", "mostly"), [(0.9, 4), (0.3, 0)])
def test_a_threshold_on_measured_acceptance(alpha, mostly):
    policy = make("threshold", threshold=0.5, memory_rounds=500.0)
    chosen = drive(policy, PositionAcceptance([alpha]), 1000)
    assert set(chosen) <= {0, 4}
    assert chosen.count(mostly) > 900


def test_a_threshold_comes_back_when_acceptance_does():
    policy = Threshold(4, 0.5, memory_rounds=200.0)
    assert drive(policy, PositionAcceptance([0.1]), 100)[-1] == 0
    assert drive(policy, PositionAcceptance([0.95]), 400)[-1] == 4


def linear(per_draft):
    """Step time that grows by a share with every drafted token."""
    return lambda gamma, _: 1.0 + per_draft * gamma


@pytest.mark.parametrize("alphas", [[0.8], [0.9, 0.6, 0.3], [0.4], [0.0], [1.0]])
@pytest.mark.parametrize("per_draft", [0.05, 0.3, 2.0])
def test_the_cost_model_finds_the_best_draft_length(alphas, per_draft):
    acceptance, price = PositionAcceptance(alphas), linear(per_draft)
    goodput = [acceptance.tokens_per_round(gamma) / price(gamma, 16) for gamma in range(7)]
    chosen = drive(CostModel(6, priced(price), memory_rounds=10_000.0), acceptance, 1500)
    reached = sum(acceptance.tokens_per_round(gamma) for gamma in chosen)
    spent = sum(price(gamma, 16) for gamma in chosen)
    assert reached / spent > 0.98 * max(goodput)


def test_the_cost_model_follows_the_price_of_the_batch():
    """Drafts that are free at a small batch and dear at a large one."""
    policy = CostModel(4, priced(lambda gamma, n: 1.0 + (gamma if n > 8 else 0.0)), 1000.0)
    acceptance = PositionAcceptance([0.8])
    assert set(drive(policy, acceptance, 100, requests=4)[20:]) == {4}
    assert drive(policy, acceptance, 100, requests=32)[20:].count(0) > 70


def test_the_cost_model_asks_for_prices_only_where_the_last_ones_do_not_hold():
    asked = []

    def price(gamma, requests, context):
        asked.append((gamma, requests, context))
        first = context // 100 * 100
        return Window(1.0, gamma * 1e-3, first, first + 99, 0.0)

    policy = CostModel(2, price, 1000.0)
    for requests, context in [(4, 10), (4, 99), (4, 100), (4, 150), (5, 150), (5, 160)]:
        policy.decide(Telemetry(requests, context, 0, NOTHING))
    assert [place for gamma, *place in asked if gamma == 2] == [[4, 10], [4, 100], [5, 150]]
    assert len(asked) == 9


def test_the_cost_model_reads_the_context_off_its_lines():
    """A draft that pays on a short context and not on a long one, on the same line."""
    policy = CostModel(1, lambda gamma, *_: Window(1.0, gamma * 1e-3, 0, 10**6, 0.0), 1000.0)
    accepted = np.repeat([0, 1], 50)
    assert policy.decide(Telemetry(100, 400, 1, accepted)) == 1  # 1.5 tokens in 1.4 s
    assert policy.decide(Telemetry(100, 700, 1, NOTHING)) == 0  # and in 1.7 s


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(1, 5))
def test_an_estimate_tends_to_the_rates(alphas, gamma):
    acceptance, estimate = PositionAcceptance(alphas), AcceptanceEstimate(gamma, 1e9)
    estimate.observe(gamma, acceptance.accepted(np.random.default_rng(1).random(40_000), gamma))
    tokens = estimate.tokens_by_gamma()
    expected = [acceptance.tokens_per_round(length) for length in range(gamma + 1)]
    assert tokens == pytest.approx(expected, abs=0.05)
    assert all(shorter <= longer <= shorter + 1 for shorter, longer in pairwise(tokens))


def test_what_was_not_measured_is_worth_a_try():
    estimate = AcceptanceEstimate(3, memory_rounds=100.0)
    assert estimate.rates() == [1.0, 1.0, 1.0]
    estimate.observe(1, np.zeros(50, np.int64))
    assert estimate.rates()[0] < 0.05
    assert estimate.rates()[1:] == [1.0, 1.0]
    for _ in range(20):
        estimate.observe(0, np.zeros(50, np.int64))
    assert estimate.rates()[0] > 0.9


REFUSED = {
    "no threshold": ({"policy": "threshold"}, "needs one, for example speculation.threshold=0.5"),
    "stray threshold": ({"threshold": 0.5}, "no other policy has any"),
    "threshold": ({"policy": "threshold", "threshold": 1.5}, "must lie in"),
    "no schedule": ({"policy": "batch_schedule"}, "needs one, for example"),
    "stray schedule": ({"schedule": [[1, 8, 2]]}, "no other policy has any"),
    "gap": ({"policy": "batch_schedule", "schedule": [[1, 8, 2], [10, 20, 1]]}, "at batch 9"),
    "backwards": ({"policy": "batch_schedule", "schedule": [[1, 0, 2]]}, "or later"),
    "late start": ({"policy": "batch_schedule", "schedule": [[2, 8, 2]]}, "at batch 1"),
    "too long": ({"policy": "batch_schedule", "schedule": [[1, 8, 9]]}, r"0\.\.4"),
    "pair": ({"policy": "batch_schedule", "schedule": [[1, 8]]}, "draft length"),
    "nothing to choose": ({"policy": "cost_model", "gamma": 0}, "the longest draft"),
    "memory": ({"policy": "cost_model", "memory_rounds": 0.0}, "must be at least 1"),
    "no number": ({"policy": "cost_model", "memory_rounds": float("nan")}, "must be at least 1"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SpeculationConfig(**({"alpha": 0.7, "gamma": 4} | settings))
