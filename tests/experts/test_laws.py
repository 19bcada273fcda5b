"""Activated-expert laws against limits and measurements; `tests/theory` samples them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experts.config import RoutingConfig
from simulator.experts.laws import ROUTING_LAWS, Overlap, distinct_experts, tokens_touching
from simulator.experts.overlaps import measured_overlap
from simulator.models.catalog import load_architecture

ARCH = load_architecture("qwen3_30b_a3b")


def law_of(config):
    return ROUTING_LAWS.get(config.law)(config, ARCH, 0)


shapes = st.tuples(st.integers(1, 512), st.integers(1, 16)).filter(
    lambda shape: shape[1] <= shape[0]
)


@given(shapes, st.floats(0, 1e6), st.floats(0, 1e6))
def test_distinct_experts_are_bounded_and_monotone(shape, tokens, more):
    few, many = (distinct_experts(*shape, count) for count in sorted((tokens, tokens + more)))
    assert 0 <= few <= many + 1e-9
    assert many <= shape[0] + 1e-9


@given(shapes)
def test_one_token_touches_its_top_k(shape):
    assert distinct_experts(*shape, 1) == pytest.approx(shape[1])


@given(st.integers(0, 300), st.integers(1, 9), st.integers(0, 9000))
def test_exponents_of_one_are_the_uniform_law(requests, query_tokens, prefill):
    uniform = law_of(RoutingConfig(law="uniform"))
    assert uniform.independent_tokens(requests, query_tokens, prefill) == pytest.approx(
        requests * query_tokens + prefill
    )


@given(st.integers(1, 300), st.integers(1, 9), st.floats(0.05, 1), st.floats(0.05, 1))
def test_overlap_never_counts_more_than_independence(requests, query_tokens, within, across):
    law = Overlap(within, across)
    assert law.independent_tokens(requests, query_tokens, 0) <= requests * query_tokens + 1e-9


@pytest.mark.parametrize(
    ("exponent", "experts", "top_k", "tokens", "measured"),
    [
        # Qwen3-30B-A3B: union of 4 consecutive tokens 18.93 (MoE-SD routing_overlap_analysis.json).
        (0.65, 128, 8, 4, 18.93),
        # Qwen1.5-MoE-A2.7B on GSM8K: 2, 4 and 8 tokens (vLLM-MoE-Logger traces).
        (0.95, 60, 4, 2, 7.5),
        (0.95, 60, 4, 4, 13.7),
        (0.95, 60, 4, 8, 23.9),
    ],
)
def test_the_overlap_law_meets_measured_unions(exponent, experts, top_k, tokens, measured):
    law = law_of(RoutingConfig(law="overlap", within_request=exponent))
    union = distinct_experts(experts, top_k, law.independent_tokens(1, tokens, 0))
    assert union == pytest.approx(measured, rel=0.04)


def test_requests_overlap_through_the_outer_exponent():
    law = Overlap(within_request=1.0, across_requests=0.5)
    assert law.independent_tokens(16, 1, 0) == 4


@pytest.mark.parametrize("value", [0.0, -1.0, 1.1, float("nan")])
def test_impossible_exponents_are_refused(value):
    with pytest.raises(ConfigError, match=r"routing.within_request=.* must lie in \(0, 1\]"):
        RoutingConfig(law="overlap", within_request=value)


def test_exponents_without_effect_are_refused():
    with pytest.raises(ConfigError, match=r"has no effect with routing\.law=uniform"):
        RoutingConfig(law="uniform", within_request=0.5)


def test_measured_overlaps_have_sources_and_unknown_models_none():
    assert measured_overlap("qwen3_30b_a3b").source
    assert measured_overlap("llama_3_1_8b") is None


def test_a_dense_layer_activates_everything():
    assert distinct_experts(4, 4, 0.5) == 4
    assert distinct_experts(4, 4, 0) == 0


@given(st.integers(2, 256), st.floats(0.5, 300))
def test_tokens_touching_undo_distinct_experts(experts, tokens):
    top_k = max(1, experts // 8)
    active = distinct_experts(experts, top_k, tokens)
    again = distinct_experts(experts, top_k, tokens_touching(experts, top_k, active))
    assert again == pytest.approx(active, rel=1e-6)


def test_all_experts_take_finitely_many_tokens_here():
    tokens = tokens_touching(64, 8, 64)
    assert 100 < tokens < 1000
    assert distinct_experts(64, 8, tokens) == pytest.approx(64)
    assert tokens_touching(8, 8, 8) == 1.0


def test_prompts_may_have_an_exponent_of_their_own():
    law = Overlap(within_request=0.5, prompt=1.0)
    assert law.independent_tokens(0, 1, 100) == 100
    assert law.independent_tokens(4, 4, 0) == 8
    assert Overlap(within_request=0.5).independent_tokens(0, 1, 100) == 10
