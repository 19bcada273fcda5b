"""Replicas spread over attention groups, experts and pipeline stages: nothing is lost or doubled.

With d attention groups of t GPUs, a group works on 1/d of the tokens; all t d GPUs share the
experts of all tokens.
"""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture
from simulator.models.catalog import load_architecture, load_drafter
from simulator.models.drafters import drafter_operators, drafter_weight_bytes
from simulator.models.flops import operator_flops
from simulator.models.forward import forward_operators
from simulator.models.operators import (
    AllGather,
    AllReduce,
    Experts,
    Operator,
    ReduceScatter,
    Send,
)
from simulator.models.parallelism import SINGLE_GPU, Parallelism, check_parallelism
from simulator.models.parameters import kv_bytes_per_token, parameters, weight_bytes

MIXTRAL = load_architecture("mixtral_8x7b")
QWEN = load_architecture("qwen3_235b_a22b")
DEEPSEEK = load_architecture("deepseek_v3")
LLAMA = load_architecture("llama_3_1_8b")

SPREADS = [
    Parallelism(tensor=8, expert=8),
    Parallelism(tensor=8, expert=2),
    Parallelism(data=8, expert=8),
    Parallelism(data=8),
    Parallelism(tensor=2, data=4, expert=8),
    Parallelism(tensor=4, data=2, expert=2),
]

models = st.sampled_from([MIXTRAL, QWEN, DEEPSEEK, load_architecture("qwen2_57b_a14b")])
sizes = st.sampled_from([1, 2, 4, 8])


@st.composite
def spreads(draw: st.DrawFn) -> tuple[Architecture, Parallelism]:
    arch, tensor, data, expert = draw(models), draw(sizes), draw(sizes), draw(sizes)
    assume(tensor * data % expert == 0)
    parallelism = Parallelism(tensor, data, expert)
    try:
        check_parallelism(arch, parallelism)
    except ConfigError:
        assume(False)
    return arch, parallelism


def of_type(operators: tuple[Operator, ...], kind: type[Operator]) -> list[Operator]:
    return [operator for operator in operators if isinstance(operator, kind)]


def flops(operators: tuple[Operator, ...], part: str) -> float:
    """FLOPs of a token that one GPU sees, its context of 700 tokens included."""
    return sum(operator_flops(op, 700) for op in operators if op.part == part)


@given(spreads())
def test_every_token_is_computed_once(drawn: tuple[Architecture, Parallelism]) -> None:
    arch, spread = drawn
    whole, shared = forward_operators(arch), forward_operators(arch, spread)
    # Experts see the tokens of all groups, everything else those of its own.
    assert spread.stage_gpus * flops(shared, "experts") == pytest.approx(flops(whole, "experts"))
    for part in ("attention", "mlp", "shared_experts"):
        assert spread.tensor * flops(shared, part) == pytest.approx(flops(whole, part))


@given(spreads())
def test_experts_are_held_once_and_the_rest_once_per_group(
    drawn: tuple[Architecture, Parallelism],
) -> None:
    arch, spread = drawn
    arch = replace(arch, moe=replace(arch.moe, bias=False))
    whole, shard = parameters(arch), parameters(arch, spread)
    group = parameters(arch, Parallelism(spread.tensor))
    assert spread.stage_gpus * shard["experts"] == whole["experts"]
    assert shard | {"experts": 0} == group | {"experts": 0}
    assert kv_bytes_per_token(arch, spread) == kv_bytes_per_token(arch, Parallelism(spread.tensor))


@given(spreads())
def test_weights_that_the_experts_read_are_those_held(
    drawn: tuple[Architecture, Parallelism],
) -> None:
    arch, spread = drawn
    (op,) = of_type(forward_operators(arch, spread), Experts)
    held = op.experts // op.expert_parallel
    matrix = op.hidden * (op.inter // op.tensor_parallel)
    assert parameters(arch, spread)["experts"] == held * 3 * matrix * op.calls


@pytest.mark.parametrize("spread", SPREADS, ids=str)
def test_groups_exchange_tokens_around_the_experts_and_one_group_does_not(
    spread: Parallelism,
) -> None:
    operators = forward_operators(DEEPSEEK, spread)
    gathers, scatters = of_type(operators, AllGather), of_type(operators, ReduceScatter)
    if spread.data == 1:
        assert gathers == scatters == []
        # Summed by the all-reduce that sums split experts.
        assert of_type(operators, AllReduce) == of_type(
            forward_operators(DEEPSEEK, Parallelism(spread.tensor)), AllReduce
        )
        return
    fp8_with_scales = 7168 + 7168 / 128 * 4
    assert gathers == [AllGather(fp8_with_scales, 8, 58)]
    assert scatters == [ReduceScatter(2.0 * 7168, 8, 58)]
    assert {op.gpus for op in of_type(operators, AllReduce)} <= {spread.tensor}
    assert (len(of_type(operators, AllReduce)) == 0) == (spread.tensor == 1)


def test_tokens_travel_in_the_format_that_experts_compute_in() -> None:
    def bytes_per_token(dtype: str) -> float:
        arch = replace(QWEN, expert_dtype=dtype)
        (gather,) = of_type(forward_operators(arch, Parallelism(data=2, expert=2)), AllGather)
        return gather.bytes_per_token

    assert bytes_per_token("bfloat16") == bytes_per_token("int4_wo") == 2 * 4096
    assert bytes_per_token("fp8") == 4096
    assert bytes_per_token("nvfp4") == 4096 / 2 + 4096 / 16


def test_one_attention_group_without_spread_experts_is_tensor_parallelism() -> None:
    for size in (1, 4):
        spread = Parallelism(tensor=size, data=1, expert=1, pipeline=1)
        assert forward_operators(DEEPSEEK, spread) == forward_operators(DEEPSEEK, Parallelism(size))
        assert not of_type(forward_operators(DEEPSEEK, spread), Send)


# Pipelines.


def test_stages_of_a_pipeline_take_as_long_as_the_longest() -> None:
    """61 layers in four stages: 16, 15, 15, 15, priced as 64."""
    operators = forward_operators(DEEPSEEK, Parallelism(tensor=8, pipeline=4))
    (experts,) = of_type(operators, Experts)
    assert experts.calls == 64 - 3
    assert of_type(operators, Send) == [Send(2 * 7168 * 2.0, 3)]
    even = forward_operators(LLAMA, Parallelism(pipeline=4))
    assert [op for op in even if not isinstance(op, Send)] == list(forward_operators(LLAMA))


def test_the_fullest_gpu_of_a_pipeline() -> None:
    whole, stage = parameters(LLAMA), parameters(LLAMA, Parallelism(pipeline=4))
    for part in ("attention", "mlp"):
        assert 4 * stage[part] == whole[part]
    assert (stage["embedding"], stage["lm_head"]) == (whole["embedding"], 0)
    whole, stage = parameters(DEEPSEEK), parameters(DEEPSEEK, Parallelism(pipeline=4))
    assert stage["mlp"] == 0  # sixteen layers with experts are the fullest stage
    assert stage["experts"] == whole["experts"] * 16 / 58
    assert stage["attention"] == whole["attention"] * 16 / 61
    cache = kv_bytes_per_token(DEEPSEEK)
    assert kv_bytes_per_token(DEEPSEEK, Parallelism(pipeline=4)) == cache * 16 / 61


@given(models, st.integers(1, 24))
def test_stages_lose_no_weight(arch: Architecture, pipeline: int) -> None:
    stage = weight_bytes(arch, Parallelism(pipeline=pipeline))
    ends = parameters(arch)["lm_head"] * 2.0  # not on the fullest GPU, but on the last
    assert pipeline * stage >= (weight_bytes(arch) - ends) * (1 - 1e-12)
    assert stage <= weight_bytes(arch)


# Drafters.


def test_a_head_is_split_like_a_layer_of_its_target() -> None:
    spread = Parallelism(tensor=2, data=4, expert=8)
    mtp = drafter_operators(load_drafter("deepseek_mtp"), DEEPSEEK, spread)
    (experts,) = of_type(mtp, Experts)
    assert (experts.tensor_parallel, experts.expert_parallel) == (1, 8)
    assert of_type(mtp, AllGather)
    # A dense head works on the requests of its group alone.
    eagle = load_drafter("eagle3")
    assert drafter_operators(eagle, DEEPSEEK, spread) == drafter_operators(
        eagle, DEEPSEEK, Parallelism(2)
    )


def test_a_separate_model_has_a_copy_in_every_attention_group() -> None:
    small, target = load_drafter("qwen2_0_5b"), load_architecture("qwen2_57b_a14b")
    for spread in (Parallelism(data=4, expert=4), Parallelism(pipeline=2)):
        assert drafter_operators(small, target, spread) == forward_operators(small.architecture)
        assert drafter_weight_bytes(small, target, spread) == weight_bytes(
            small.architecture, SINGLE_GPU
        )


def test_a_drafting_head_is_not_split_along_a_pipeline() -> None:
    mtp = load_drafter("deepseek_mtp")
    assert drafter_operators(mtp, DEEPSEEK, Parallelism(8, pipeline=4)) == drafter_operators(
        mtp, DEEPSEEK, Parallelism(8)
    )
