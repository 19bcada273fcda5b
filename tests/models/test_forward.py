import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.models.architecture import Architecture, Attention, GatedDeltaNet, Indexer, Moe
from simulator.models.catalog import load_architecture, model_names
from simulator.models.forward import forward_operators
from simulator.models.operators import (
    AllReduce,
    Elementwise,
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    LinearAttention,
    Operator,
    SparseLatentAttention,
)
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import parameters, weight_bytes
from simulator.units import BYTES_PER_WEIGHT


def matrix_weights(operators: tuple[Operator, ...]) -> Counter[str]:
    """Weights that the operators read on one GPU, by part."""
    weights: Counter[str] = Counter()
    for op in operators:
        match op:
            case Gemm():
                weights[op.part] += op.n * op.k * op.calls
            case Experts():
                matrices = 3 if op.gated else 2
                inter = op.inter // op.tensor_parallel
                weights[op.part] += op.experts * matrices * op.hidden * inter * op.calls
            case LatentAttention() | SparseLatentAttention():
                up = op.heads * op.latent_dim * (op.nope_dim + op.value_dim)
                weights["projections"] += up * op.calls
    return weights


def expected_weights(arch: Architecture, tensor_parallel: int) -> dict[str, int]:
    """What `matrix_weights` must be from `parameters`, of an architecture without biases."""
    counts = parameters(arch, Parallelism(tensor_parallel))
    gates = arch.moe_layers * arch.hidden if arch.moe and arch.moe.shared_gate else 0
    width = 2 * arch.embedding_dim * arch.hidden if arch.embedding_dim != arch.hidden else 0
    head = -(-arch.vocab // tensor_parallel) * arch.embedding_dim
    vectors = 0  # convolution, and two numbers per value head
    if arch.linear is not None:
        vectors = arch.linear.conv_width * arch.linear.conv_channels + 2 * arch.linear.value_heads
        vectors = arch.linear.layers * vectors // tensor_parallel
    parts = {
        "projections": counts["attention"] + counts["linear_attention"] - vectors + width,
        "mlp": counts["mlp"],
        "router": counts["router"] - gates,
        "experts": counts["experts"],
        "shared_experts": counts["shared_experts"],
        "lm_head": head,
    }
    return {part: count for part, count in parts.items() if count}


def without_biases(arch: Architecture) -> Architecture:
    attention = replace(arch.attention, bias=False, output_bias=False, sinks=False)
    moe = replace(arch.moe, bias=False) if arch.moe else None
    return replace(arch, attention=attention, moe=moe, mlp_bias=False)


def of_type(operators: tuple[Operator, ...], kind: type[Operator]) -> list[Operator]:
    return [operator for operator in operators if isinstance(operator, kind)]


@pytest.mark.parametrize("tensor_parallel", [1, 2, 4])
@pytest.mark.parametrize("name", model_names())
def test_weights_of_the_operators_are_the_parameters(name: str, tensor_parallel: int) -> None:
    arch = without_biases(load_architecture(name))
    operators = forward_operators(arch, Parallelism(tensor_parallel))
    assert matrix_weights(operators) == expected_weights(arch, tensor_parallel)


@pytest.mark.parametrize("tensor_parallel", [2, 4])
@pytest.mark.parametrize("name", ["qwen2_57b_a14b", "mixtral_8x7b", "llama_3_1_70b", "opt_30b"])
def test_gpus_of_a_group_hold_the_model_once(name: str, tensor_parallel: int) -> None:
    """Where nothing but router, norms, output biases and positions is replicated."""
    whole = parameters(without_biases(load_architecture(name)))
    shard = parameters(without_biases(load_architecture(name)), Parallelism(tensor_parallel))
    for part in ("attention", "mlp", "experts", "shared_experts", "lm_head"):
        assert tensor_parallel * shard[part] == whole[part]
    assert (shard["router"], shard["norms"]) == (whole["router"], whole["norms"])


def test_shapes_of_qwen2_57b_on_two_gpus() -> None:
    operators = forward_operators(load_architecture("qwen2_57b_a14b"), Parallelism(2))
    gemms = [(op.part, op.n, op.k, op.calls) for op in operators if isinstance(op, Gemm)]
    assert gemms == [
        ("projections", (14 + 2 * 2) * 128, 3584, 28),
        ("projections", 3584, 14 * 128, 28),
        ("router", 64, 3584, 28),
        ("shared_experts", 2 * 10240, 3584, 28),
        ("shared_experts", 3584, 10240, 28),
        ("lm_head", 75968, 3584, 1),
    ]
    assert of_type(operators, Experts) == [
        Experts(
            experts=64,
            top_k=8,
            hidden=3584,
            inter=2560,
            tensor_parallel=2,
            dtype="bfloat16",
            calls=28,
        )
    ]
    assert of_type(operators, GroupedQueryAttention) == [GroupedQueryAttention(14, 2, 128, 0, 28)]


def test_only_the_lm_head_skips_tokens() -> None:
    operators = forward_operators(load_architecture("deepseek_v3"), Parallelism(8))
    assert [op.part for op in operators if isinstance(op, Gemm) and op.sampled_only] == ["lm_head"]


def test_latent_attention_replicates_its_down_projection() -> None:
    arch = load_architecture("deepseek_v3")
    for tensor_parallel, heads in ((1, 128), (8, 16)):
        operators = forward_operators(arch, Parallelism(tensor_parallel))
        down, up, out = (op for op in operators if op.part == "projections")
        assert (down.n, down.k) == (1536 + 512 + 64, 7168)
        assert (up.n, up.k) == (heads * 192, 1536)
        assert (out.n, out.k) == (7168, heads * 128)
        assert of_type(operators, LatentAttention) == [
            LatentAttention(heads, 512, 64, 128, 128, 61)
        ]


def test_queries_that_are_not_compressed_come_from_the_hidden_state() -> None:
    operators = forward_operators(load_architecture("deepseek_v2_lite"))
    down, up, _ = (op for op in operators if op.part == "projections")
    assert (down.n, down.k) == (512 + 64, 2048)
    assert (up.n, up.k) == (16 * 192, 2048)


def test_leading_dense_layers_have_an_mlp_and_the_others_experts() -> None:
    operators = forward_operators(load_architecture("deepseek_v3"))
    assert {op.calls for op in operators if op.part == "mlp"} == {3}
    assert {op.calls for op in operators if op.part in ("experts", "shared_experts")} == {58}


def test_windowed_layers_are_apart() -> None:
    operators = forward_operators(load_architecture("gpt_oss_20b"), Parallelism(8))
    assert of_type(operators, GroupedQueryAttention) == [
        GroupedQueryAttention(8, 1, 64, 0, 12),
        GroupedQueryAttention(8, 1, 64, 128, 12),
    ]


def test_a_model_with_windows_everywhere_has_no_full_attention() -> None:
    arch = load_architecture("gpt_oss_20b")
    arch = replace(arch, attention=replace(arch.attention, windowed_layers=24))
    assert [op.window for op in of_type(forward_operators(arch), GroupedQueryAttention)] == [128]


def test_a_group_wider_than_the_kv_heads_replicates_them() -> None:
    arch = load_architecture("qwen3_30b_a3b")
    (attention,) = of_type(forward_operators(arch, Parallelism(8)), GroupedQueryAttention)
    assert (attention.heads, attention.kv_heads) == (4, 1)
    qkv = next(op for op in forward_operators(arch, Parallelism(8)) if op.part == "projections")
    assert qkv.n == (4 + 2) * 128


@pytest.mark.parametrize("name", model_names())
def test_a_group_sums_after_attention_and_feed_forward(name: str) -> None:
    arch = load_architecture(name)
    arch = replace(arch, attention=replace(arch.attention, joint_qk_norm=False))
    assert of_type(forward_operators(arch, Parallelism(1)), AllReduce) == []
    assert of_type(forward_operators(arch, Parallelism(4)), AllReduce) == [
        AllReduce(arch.hidden, 4, 1),
        AllReduce(arch.hidden, 4, 2 * arch.layers),
    ]


def test_a_norm_over_all_heads_sums_two_variances_over_the_group() -> None:
    arch = load_architecture("minimax_m2_5")
    assert AllReduce(4, 4, 62) in forward_operators(arch, Parallelism(4))
    assert of_type(forward_operators(arch), AllReduce) == []


def test_an_indexer_is_not_split_and_keeps_a_few_weights_in_bfloat16() -> None:
    arch = load_architecture("glm_5")
    for tensor_parallel, heads in ((1, 64), (8, 8)):
        operators = forward_operators(arch, Parallelism(tensor_parallel))
        gemms = [(op.n, op.k, op.dtype) for op in operators if op.part == "projections"]
        assert gemms == [
            (2048 + 512 + 64, 6144, "fp8_block"),
            (heads * (192 + 64), 2048, "fp8_block"),
            (32 * 128, 2048, "fp8_block"),
            (128, 6144, "fp8_block"),
            (32, 6144, "bfloat16"),
            (6144, heads * 256, "fp8_block"),
        ]
        assert of_type(operators, LatentAttention) == []
        (sparse,) = of_type(operators, SparseLatentAttention)
        assert sparse == SparseLatentAttention(heads, 512, 64, 192, 256, 32, 128, 2048, 78)


def test_shapes_of_a_hybrid_model_on_two_gpus() -> None:
    """15 layers of gated softmax attention, 45 of linear attention, heads of both split."""
    arch = load_architecture("qwen3_5_397b_a17b")
    operators = forward_operators(arch, Parallelism(2))
    gemms = [op for op in of_type(operators, Gemm) if op.part == "projections"]
    assert [(op.n, op.k, op.calls) for op in gemms] == [
        (2 * 16 * 256 + 2 * 256, 4096, 15),
        (4096, 16 * 256, 15),
        (2 * 8 * 128 + 2 * 32 * 128, 4096, 45),
        (2 * 32, 4096, 45),
        (4096, 32 * 128, 45),
    ]
    attention = of_type(operators, GroupedQueryAttention)
    assert attention == [GroupedQueryAttention(16, 1, 256, 0, 15)]
    assert of_type(operators, LinearAttention) == [LinearAttention(8, 32, 128, 128, 4, 45)]


def test_projections_have_a_format_of_their_own_if_given() -> None:
    """As NVIDIA's nvfp4 checkpoints of Kimi-K2.5 and Qwen3.5, whose attention is in bfloat16."""
    for name in ("kimi_k2_5", "qwen3_5_397b_a17b", "glm_5", "mixtral_8x7b"):
        given = load_architecture(name)
        arch = replace(given, dtype="nvfp4", expert_dtype="nvfp4", attention_dtype="bfloat16")
        gemms = [op for op in forward_operators(arch) if isinstance(op, Gemm)]
        assert {op.dtype for op in gemms if op.part == "projections"} == {"bfloat16"}
        assert {op.dtype for op in gemms if op.part in ("mlp", "shared_experts")} <= {"nvfp4"}


@pytest.mark.parametrize("name", ["llama_3_1_8b", "deepseek_v3", "glm_5", "gpt_oss_20b"])
def test_attention_knows_the_format_of_its_cache(name: str) -> None:
    arch = load_architecture(name)
    for kv_dtype in ("bfloat16", "fp8"):
        operators = forward_operators(replace(arch, kv_dtype=kv_dtype))
        assert {op.kv_dtype for op in operators if op.part == "attention"} == {kv_dtype}


def test_quantised_weights_name_their_format() -> None:
    dtypes = {
        op.part: op.dtype
        for op in forward_operators(load_architecture("deepseek_v3"))
        if isinstance(op, (Gemm, Experts))
    }
    assert dtypes == {
        "projections": "fp8_block",
        "mlp": "fp8_block",
        "router": "bfloat16",
        "experts": "fp8_block",
        "shared_experts": "fp8_block",
        "lm_head": "bfloat16",
    }


def elementwise(name: str, tensor_parallel: int = 1) -> list[tuple[float, int, int]]:
    operators = forward_operators(load_architecture(name), Parallelism(tensor_parallel))
    kernels = of_type(operators, Elementwise)
    return [(op.bytes_per_token, op.kernels, op.calls) for op in kernels]


def test_memory_bound_kernels_of_a_dense_model() -> None:
    assert elementwise("llama_3_1_8b", 2) == [
        (2 * 2 * 4096, 1, 1),  # lookup
        (2 * (4 * 512 + 2 * (2048 + 512)), 2, 32),  # rotary, cache write
        (2 * 3 * 7168, 1, 32),  # activation
        (2 * 4 * 4096, 1, 65),  # norms
    ]


def test_memory_bound_kernels_of_learned_positions_and_plain_mlp() -> None:
    assert elementwise("opt_30b", 2) == [
        (2 * (2 + 5) * 7168, 3, 1),
        (2 * 4 * 3584, 1, 48),  # no rotation
        (2 * 2 * 14336, 1, 48),  # no gate
        (2 * 4 * 7168, 1, 97),
    ]


def test_memory_bound_kernels_of_shared_experts_and_query_norms() -> None:
    assert elementwise("qwen2_57b_a14b")[2] == (2 * (3 * 20480 + 6 * 3584), 4, 28)
    assert elementwise("qwen3_30b_a3b")[1] == (2 * (4 * 512 + 4 * (4096 + 512)), 4, 48)
    assert len(elementwise("mixtral_8x7b")) == 3  # routed experts bring their own activation


def test_memory_bound_kernels_of_latent_attention() -> None:
    norms, rotation, cache = 2 * (1536 + 512), 2 * (128 + 1) * 64, 2 * (512 + 64)
    assert elementwise("deepseek_v3")[1] == (2 * (norms + rotation + cache), 4, 61)
    assert elementwise("deepseek_v2_lite")[1][1] == 3


def test_linear_attention_has_a_gated_norm_over_its_values() -> None:
    assert (2 * 3 * 32 * 128, 1, 45) in elementwise("qwen3_5_397b_a17b", 2)


def test_memory_bound_kernels_of_gates_and_indexers() -> None:
    gated = elementwise("qwen3_5_397b_a17b", 2)
    assert (2 * 3 * 16 * 256, 1, 15) in gated
    index = 2 * 128 + 2 * (32 + 1) * 64 + 2 * (32 + 1) * 128
    assert (2 * index, 4, 78) in elementwise("glm_5")


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Small architectures without biases, of every kind."""
    size = st.integers(1, 6)
    layers = draw(size)
    linear_layers = draw(st.integers(0, layers - 1))
    if draw(st.booleans()):
        kv_heads = draw(st.sampled_from([4, 8, 16]))
        attention = Attention(
            heads=kv_heads * draw(size),
            kv_heads=kv_heads,
            head_dim=16 * draw(size),
            window_tokens=128,
            windowed_layers=draw(st.integers(0, layers - linear_layers)),
            qk_norm=(qk_norm := draw(st.booleans())),
            joint_qk_norm=qk_norm and draw(st.booleans()),
            gated_output=draw(st.booleans()),
            inputs=draw(st.integers(1, 2)),
        )
    else:
        query = draw(st.sampled_from([0, 24]))
        indexer = Indexer(heads=draw(size), dim=8 * draw(size), top_k=64)
        attention = Attention(
            kind="mla",
            heads=4 * draw(size),
            q_lora_rank=query,
            indexer=indexer if query and draw(st.booleans()) else None,
            kv_lora_rank=8 * draw(size),
            nope_dim=8 * draw(size),
            rope_dim=4 * draw(size),
            value_dim=8 * draw(size),
        )
    linear = None
    if linear_layers:
        linear = GatedDeltaNet(
            layers=linear_layers,
            key_heads=4 * (key_heads := draw(size)),
            value_heads=4 * key_heads * draw(size),
            key_dim=8 * draw(size),
            value_dim=8 * draw(size),
            conv_width=draw(size),
        )
    moe = None
    if draw(st.booleans()):
        experts = draw(st.integers(1, 12))
        shared = draw(st.sampled_from([0, 8, 20]))
        moe = Moe(
            experts=experts,
            top_k=draw(st.integers(1, experts)),
            inter=4 * draw(size),
            shared_inter=shared,
            shared_gate=shared > 0 and draw(st.booleans()),
            dense_layers=draw(st.integers(0, layers - 1)),
            gated=draw(st.booleans()),
        )
    return Architecture(
        name="random",
        title="Random",
        source="drawn",
        layers=layers,
        hidden=8 * draw(size),
        vocab=draw(st.integers(1, 999)),
        max_context_tokens=64,
        attention=attention,
        linear=linear,
        mlp_inter=4 * draw(size),
        gated=draw(st.booleans()),
        moe=moe,
        tied_embeddings=draw(st.booleans()),
        embedding_width=draw(st.sampled_from([0, 12])),
        positions=draw(st.sampled_from(["rotary", "learned"])),
        norm=draw(st.sampled_from(["rms", "layer"])),
        dtype=draw(st.sampled_from(sorted(BYTES_PER_WEIGHT))),
        expert_dtype=draw(st.sampled_from(sorted(BYTES_PER_WEIGHT))),
        attention_dtype=draw(st.sampled_from([None, *sorted(BYTES_PER_WEIGHT)])),
        kv_dtype=draw(st.sampled_from(["bfloat16", "fp8"])),
    )


@given(arch=architectures(), tensor_parallel=st.sampled_from([1, 2, 4]))
def test_operators_and_parameters_agree_on_any_architecture(
    arch: Architecture, tensor_parallel: int
) -> None:
    operators = forward_operators(arch, Parallelism(tensor_parallel))
    assert matrix_weights(operators) == expected_weights(arch, tensor_parallel)
    attended = [op for op in operators if op.part in ("attention", "linear_attention")]
    assert sum(op.calls for op in attended) == arch.layers
    assert all(op.calls > 0 for op in operators)


@given(arch=architectures(), tensor_parallel=st.sampled_from([2, 4]))
def test_a_group_splits_no_weight_twice_and_loses_none(
    arch: Architecture, tensor_parallel: int
) -> None:
    whole, shard = weight_bytes(arch), weight_bytes(arch, Parallelism(tensor_parallel))
    assert shard <= whole or math.isclose(shard, whole)
    assert tensor_parallel * shard >= whole * (1 - 1e-12)
