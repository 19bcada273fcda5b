"""The linear programme of a replica's capacity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.plan.capacity import Demand, Supply, max_rate

BATCHES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


def line(base_s=0.01, each_s=0.0005, cache_tokens=1e9):
    """A replica whose step takes a time that is a line in the batch."""
    return Supply(BATCHES, base_s + each_s * BATCHES, cache_tokens)


def test_without_bounds_the_largest_batch_decides():
    found = max_rate(line(), Demand(100, 0.0, math.inf, 0.0))
    assert found.rate == pytest.approx(64 / (0.01 + 0.0005 * 64) / 100)
    assert found.binding == "max_num_seqs"


def test_a_token_bound_is_met_with_equality():
    """Two batches mixed meet a bound between theirs, at a little less than the one in between."""
    bound_s = 0.01 + 0.0005 * 24
    found = max_rate(line(), Demand(100, 0.0, 100 * bound_s, 0.0))
    assert found.binding == "tpot"
    assert found.rate == pytest.approx(24 / bound_s / 100, rel=0.06)


def test_a_cache_bound_limits_the_batch():
    found = max_rate(line(cache_tokens=16_000), Demand(100, 0.0, math.inf, 1000))
    assert (found.binding, found.rate) == ("kv_memory", pytest.approx(16 / 0.018 / 100))


def test_prompts_take_their_share_of_the_time():
    plain = max_rate(line(), Demand(100, 0.0, math.inf, 0.0)).rate
    found = max_rate(line(), Demand(100, 3.0 / plain, math.inf, 0.0))
    assert (found.binding, found.rate) == ("prefill", pytest.approx(plain / 4))


def test_no_batch_is_fast_enough():
    assert max_rate(line(), Demand(100, 0.0, 0.9, 0.0)).rate == 0.0


@settings(max_examples=25)
@given(
    tokens=st.floats(10, 1000),
    prefill_s=st.floats(0, 0.2),
    token_bound_s=st.floats(0.011, 0.2),
    worse=st.sampled_from(["tokens", "prefill_s", "context_tokens"]),
    factor=st.floats(1.0, 4.0),
)
def test_who_asks_for_more_is_served_less(tokens, prefill_s, token_bound_s, worse, factor):
    asked = {
        "tokens": tokens,
        "prefill_s": prefill_s,
        "residence_s": tokens * token_bound_s,
        "context_tokens": 500.0,
    }
    supply = line(cache_tokens=20_000)
    more = asked | {worse: asked[worse] * factor}
    if worse == "tokens":
        more["residence_s"] = asked["residence_s"]
    assert (
        max_rate(supply, Demand(**more)).rate <= max_rate(supply, Demand(**asked)).rate * 1.000001
    )
