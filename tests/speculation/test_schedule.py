"""Schedules derived from step times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.curves import Window
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.policies import BatchSchedule, CostModel, Telemetry
from simulator.speculation.schedule import best_schedule


def roofline(ridge, context_s=0.0):
    """A step takes as long as its tokens, `ridge` of them at least, and longer with its context."""

    def price(gamma, requests, context_tokens):
        return Window(max(ridge, (gamma + 1.0) * requests), context_s, 0, 10**9, 0.0)

    return price


def tokens(alpha, longest):
    acceptance = ACCEPTANCE.get("iid")(SpeculationConfig(gamma=longest, alpha=alpha))
    return [acceptance.tokens_per_round(gamma) for gamma in range(longest + 1)]


@given(st.floats(0.05, 0.95), st.floats(1.0, 200.0), st.integers(1, 6), st.integers(1, 300))
def test_a_schedule_is_a_valid_setting_and_never_far_from_the_best(alpha, ridge, longest, last):
    price, expected = roofline(ridge), tokens(alpha, longest)
    rows = best_schedule(price, expected, last_batch=last, context_tokens=100.0, tolerance=0.01)
    SpeculationConfig(gamma=longest, alpha=alpha, policy="batch_schedule", schedule=rows)
    assert rows[-1][1] == last
    policy = BatchSchedule(rows)
    for batch in range(1, last + 1):
        rates = [emitted / price(gamma, batch, 0).base_s for gamma, emitted in enumerate(expected)]
        chosen = policy.decide(Telemetry(batch, 0, 0, np.empty(0, np.int64)))
        assert rates[chosen] >= 0.99 * max(rates)


def test_drafts_get_shorter_as_the_batch_grows_into_the_roofline():
    rows = best_schedule(roofline(64.0), tokens(0.8, 4), last_batch=128, context_tokens=0.0)
    drafted = [gamma for *_, gamma in rows]
    assert drafted == sorted(drafted, reverse=True)
    assert (drafted[0], drafted[-1]) == (4, 0)


def test_a_wide_tolerance_merges_rows():
    price, expected = roofline(64.0), tokens(0.8, 4)
    counts = [
        len(best_schedule(price, expected, last_batch=128, context_tokens=0, tolerance=share))
        for share in (0.0, 0.05, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


@pytest.mark.parametrize("batch", [1, 10, 30, 100])
def test_schedule_and_cost_model_agree_where_acceptance_is_known(batch):
    price, expected = roofline(64.0, context_s=1e-4), tokens(0.7, 4)
    rows = best_schedule(price, expected, last_batch=128, context_tokens=100.0, tolerance=0.0)
    model = CostModel(4, price, memory_rounds=1e9)
    draws = np.random.default_rng(1).geometric(0.3, 200_000) - 1
    telemetry = Telemetry(batch, 100 * batch, 4, np.minimum(draws, 4))
    assert model.decide(telemetry) == BatchSchedule(rows).decide(telemetry)
