"""Experts over several GPUs, and the exchange between attention groups."""

from dataclasses import replace

import pytest
from helpers.step_models import step_model
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.costs.forward import total_s
from simulator.experts.imbalance import slowest_rank_experts, slowest_rank_share
from simulator.kernels.tables import ExpertShape
from simulator.models.operators import AllGather, GroupedQueryAttention, ReduceScatter

SHAPE = ExpertShape(256, 8, 7168, 2048, tensor_parallel=1, expert_parallel=8)
LAYERS = 58

tokens = st.integers(1, 4000)
shares = st.floats(0.1, 1)


def deepseek(**sizes):
    return step_model("deepseek_v3", "h200_sxm", **sizes).target


@settings(max_examples=40)
@given(tokens, shares)
def test_spread_experts_wait_for_the_busiest_gpu(tokens, share):
    """Most tokens and most distinct experts of any of eight GPUs, as their laws say."""
    forward, independent = deepseek(tensor_parallel=8, expert=8), share * tokens
    parts = forward.experts(tokens, independent)
    busiest = tokens * slowest_rank_share(independent, 8, 256, 8)
    active = slowest_rank_experts(independent, 8, 256, 8)
    expected = LAYERS * forward.tables.experts(busiest, active, SHAPE, "fp8_block").seconds
    assert set(parts) == {"experts"}
    assert parts["experts"].seconds == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40)
@given(tokens)
def test_chance_makes_spread_experts_slower_than_an_even_spread(tokens):
    forward = deepseek(tensor_parallel=8, expert=8)
    even = forward.tables.experts(tokens, forward.active_experts(tokens) / 8, SHAPE, "fp8_block")
    assert forward.experts(tokens, tokens)["experts"].seconds >= LAYERS * even.seconds * (1 - 1e-9)


def test_a_single_token_reads_several_experts_on_one_gpu_or_a_part_of_each():
    """Eight experts over eight GPUs: split, each GPU reads one; spread, chance gives one GPU 2.6.

    At E = 256 the expected most of eight distinct draws is 2.55 (Monte Carlo: 2.54).
    """
    spread, split = (deepseek(tensor_parallel=8, expert=size) for size in (8, 1))
    ratio = total_s(spread.experts(1, 1.0)) / total_s(split.experts(1, 1.0))
    assert 1.05 < ratio < 2.55  # the fixed costs of a call are not multiplied


@settings(max_examples=20)
@given(tokens)
def test_attention_groups_pay_for_the_exchange_as_measured(tokens):
    forward = deepseek(tensor_parallel=1, data=8, expert=8)
    parts = forward.experts(tokens, tokens)
    (gather,) = (op for op in forward.operators if isinstance(op, AllGather))
    (scatter,) = (op for op in forward.operators if isinstance(op, ReduceScatter))
    dispatch = forward.tables.all_gather(tokens * gather.bytes_per_token, 8)
    combine = forward.tables.reduce_scatter(tokens * scatter.bytes_per_token, 8)
    assert parts["dispatch"].seconds == pytest.approx(LAYERS * dispatch.seconds)
    assert parts["combine"].seconds == pytest.approx(LAYERS * combine.seconds)
    # What the experts themselves cost does not depend on how their tokens came to them.
    alone = deepseek(tensor_parallel=8, expert=8).experts(tokens, tokens)
    assert parts["experts"] == alone["experts"]


def test_only_attention_groups_gather():
    assert deepseek(tensor_parallel=1, data=8, expert=8).gathers
    assert not deepseek(tensor_parallel=8, expert=8).gathers
    assert not step_model("llama_3_1_8b", "h100_sxm", 1).target.gathers


def test_a_fp8_cache_is_read_faster():
    """Half the bytes: long caches take well below the time of bfloat16, never above it."""
    model = step_model("llama_3_1_8b", "h100_sxm", 1)
    plain = model.target
    fp8 = type(plain)(
        tuple(
            replace(op, kv_dtype="fp8") if isinstance(op, GroupedQueryAttention) else op
            for op in plain.operators
        ),
        plain.tables,
        plain.engine,
    )
    times = [total_s(forward.decode_attention(64, 1, 8000.0)) for forward in (plain, fp8)]
    assert 0.4 * times[0] < times[1] < 0.8 * times[0]
