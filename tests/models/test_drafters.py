import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture
from simulator.models.catalog import drafter_names, load_architecture, load_drafter, model_names
from simulator.models.drafters import (
    Drafter,
    drafter_kv_bytes_per_token,
    drafter_operators,
    drafter_parameters,
    drafter_weight_bytes,
    head_architecture,
    shares_vocabulary,
)
from simulator.models.forward import forward_operators
from simulator.models.operators import AllReduce, Experts, Gemm, GroupedQueryAttention
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import kv_bytes_per_token, parameters, weight_bytes

QWEN = load_architecture("qwen2_57b_a14b")
LLAMA = load_architecture("llama_3_1_8b")
DEEPSEEK = load_architecture("deepseek_v3")


def test_a_separate_model_runs_on_one_gpu_whatever_the_target_has() -> None:
    drafter = load_drafter("qwen2_0_5b")
    assert drafter.architecture is not None
    for size in (1, 2, 4):
        assert drafter_operators(drafter, QWEN, Parallelism(size)) == forward_operators(
            drafter.architecture, Parallelism(1)
        )
        assert drafter_weight_bytes(drafter, QWEN, Parallelism(size)) == weight_bytes(
            drafter.architecture
        )
        own = kv_bytes_per_token(drafter.architecture)
        assert drafter_kv_bytes_per_token(drafter, QWEN, Parallelism(size)) == own


def test_a_separate_model_can_be_split_over_gpus_of_the_target() -> None:
    drafter = replace(load_drafter("qwen2_0_5b"), tensor_parallel=2)
    assert drafter.architecture is not None
    assert drafter_operators(drafter, QWEN, Parallelism(4)) == forward_operators(
        drafter.architecture, Parallelism(2)
    )
    assert drafter_parameters(drafter, QWEN, Parallelism(4)) == parameters(
        drafter.architecture, Parallelism(2)
    )
    with pytest.raises(ConfigError, match=r"tensor_parallel=2 exceeds the target's 1 GPUs"):
        drafter_operators(drafter, QWEN, Parallelism(1))


def test_lookup_costs_the_gpu_nothing() -> None:
    drafter = load_drafter("ngram")
    assert drafter_operators(drafter, QWEN, Parallelism(2)) == ()
    assert drafter_parameters(drafter, QWEN, Parallelism(2)) == {}
    assert drafter_weight_bytes(drafter, QWEN, Parallelism(2)) == 0
    assert drafter_kv_bytes_per_token(drafter, QWEN, Parallelism(2)) == 0


def test_shapes_of_an_eagle3_head_on_llama() -> None:
    """The layer sees embedding and feature (2 h), the projection three features (3 h)."""
    operators = drafter_operators(load_drafter("eagle3"), LLAMA, Parallelism(2))
    gemms = [(op.part, op.n, op.k, op.calls) for op in operators if isinstance(op, Gemm)]
    assert gemms == [
        ("projections", 4096, 3 * 4096, 1),
        ("projections", (16 + 2 * 4) * 128, 2 * 4096, 1),
        ("projections", 4096, 16 * 128, 1),
        ("mlp", 14336, 4096, 1),
        ("mlp", 4096, 7168, 1),
        ("lm_head", 16000, 4096, 1),
    ]
    attention = [op for op in operators if isinstance(op, GroupedQueryAttention)]
    assert attention == [GroupedQueryAttention(16, 4, 128, 0, 1)]
    assert AllReduce(4096, 2, 2) in operators


def test_weights_of_an_eagle3_head_on_llama() -> None:
    counts = drafter_parameters(load_drafter("eagle3"), LLAMA)
    assert counts["input_projection"] == 3 * 4096**2
    assert counts["attention"] == 2 * 4096 * (32 + 2 * 8) * 128 + 4096**2
    assert counts["mlp"] == 3 * 4096 * 14336
    assert (counts["embedding"], counts["lm_head"]) == (0, 32000 * 4096)
    share = counts["input_projection"] / sum(counts.values())
    assert share == pytest.approx(0.12, abs=0.003)  # stated by `drafter_operators`
    assert drafter_weight_bytes(load_drafter("eagle3"), LLAMA) == 2 * sum(counts.values())


def test_the_mtp_block_of_deepseek_v3_has_the_published_size() -> None:
    """11.5 B without the shared embedding and head: README_WEIGHTS of the published model."""
    counts = drafter_parameters(load_drafter("deepseek_mtp"), DEEPSEEK)
    assert sum(counts.values()) / 1e9 == pytest.approx(11.5, rel=0.015)
    assert (counts["embedding"], counts["lm_head"], counts["mlp"]) == (0, 0, 0)


def test_the_mtp_block_is_a_layer_of_the_target() -> None:
    operators = drafter_operators(load_drafter("deepseek_mtp"), DEEPSEEK, Parallelism(8))
    projection, *rest = operators
    assert projection == Gemm("projections", 7168, 2 * 7168, "fp8_block", 1)
    (experts,) = (op for op in rest if isinstance(op, Experts))
    assert experts == Experts(256, 8, 7168, 2048, 8, "fp8_block", 1)
    head = next(op for op in rest if op.part == "lm_head")
    assert (head.n, head.k) == (129280 // 8, 7168)
    # One of 61 layers of cache.
    assert (
        61 * drafter_kv_bytes_per_token(load_drafter("deepseek_mtp"), DEEPSEEK, Parallelism(8))
        == 70_272
    )


def test_a_dense_head_on_latent_attention_has_heads_across_the_width() -> None:
    attention = head_architecture(load_drafter("eagle3"), DEEPSEEK).attention
    assert (attention.kind, attention.heads, attention.kv_heads) == ("gqa", 56, 56)
    assert attention.heads * attention.head_dim == DEEPSEEK.hidden


def test_a_layer_of_the_target_is_one_with_softmax_attention() -> None:
    """The multi-token-prediction layer of Qwen3.5 has full attention, that of GLM-5 an indexer."""
    mtp = load_drafter("deepseek_mtp")
    hybrid = head_architecture(mtp, load_architecture("qwen3_5_397b_a17b"))
    assert (hybrid.linear, hybrid.softmax_layers, hybrid.attention.gated_output) == (None, 1, True)
    assert head_architecture(mtp, load_architecture("glm_5")).attention.indexer is not None


def test_a_head_keeps_its_cache_in_the_format_of_the_target() -> None:
    for name in ("eagle3", "deepseek_mtp"):
        drafter = load_drafter(name)
        half = drafter_kv_bytes_per_token(drafter, replace(DEEPSEEK, kv_dtype="fp8"))
        assert half == drafter_kv_bytes_per_token(drafter, DEEPSEEK) / 2


def test_a_dense_head_has_its_own_format_and_no_experts() -> None:
    target = replace(DEEPSEEK, attention_dtype="nvfp4")
    assert head_architecture(load_drafter("eagle3"), target).projection_dtype == "bfloat16"
    head = head_architecture(load_drafter("eagle3"), DEEPSEEK)
    assert (head.moe, head.dtype, head.vocab, head.layers) == (None, "bfloat16", 32000, 1)
    windowed = head_architecture(load_drafter("deepseek_mtp"), load_architecture("gpt_oss_20b"))
    assert (windowed.attention.windowed_layers, windowed.attention.window_tokens) == (0, 0)


@pytest.mark.parametrize("model", model_names())
@pytest.mark.parametrize("name", [n for n in drafter_names() if load_drafter(n).kind == "head"])
def test_heads_fit_every_model_and_are_small(name: str, model: str) -> None:
    target, drafter = load_architecture(model), load_drafter(name)
    for size in (1, 2, 4):
        operators = drafter_operators(drafter, target, Parallelism(size))
        assert all(op.calls in (1, 2, 3) for op in operators)
        assert (
            0
            < drafter_weight_bytes(drafter, target, Parallelism(size))
            < 0.1 * weight_bytes(target, Parallelism(size))
        )


@given(
    layers=st.integers(1, 3),
    vectors=st.integers(1, 4),
    inputs=st.integers(1, 2),
    vocab=st.sampled_from([0, 1000, 32000]),
    size=st.sampled_from([1, 2, 4]),
    target=st.sampled_from([QWEN, LLAMA, DEEPSEEK]),
    layer=st.sampled_from(["dense", "target"]),
)
def test_matrices_of_a_head_are_its_parameters(
    layers: int,
    vectors: int,
    inputs: int,
    vocab: int,
    size: int,
    target: Architecture,
    layer: str,
) -> None:
    drafter = Drafter(
        name="drawn",
        title="Drawn",
        source="drawn",
        kind="head",
        layers=layers,
        layer=layer,
        mlp_ratio=2.0,
        input_vectors=vectors,
        attention_inputs=inputs,
        vocab=vocab,
    )
    counts = drafter_parameters(drafter, target, Parallelism(size))
    gemms = [
        op for op in drafter_operators(drafter, target, Parallelism(size)) if isinstance(op, Gemm)
    ]
    head = next(op for op in gemms if op.part == "lm_head")
    assert head.n == math.ceil((vocab or target.vocab) / size)
    assert counts["lm_head"] == (head.n * head.k if vocab else 0)
    assert counts["input_projection"] == gemms[0].n * gemms[0].k
    mlp = sum(op.n * op.k * op.calls for op in gemms if op.part == "mlp")
    assert counts["mlp"] == mlp
    assert (mlp > 0) == (layer == "dense" or target.moe is None)


def test_vocabularies() -> None:
    assert shares_vocabulary(load_drafter("qwen2_0_5b"), QWEN)
    assert not shares_vocabulary(load_drafter("qwen2_0_5b"), LLAMA)
    assert shares_vocabulary(load_drafter("opt_350m"), load_architecture("opt_30b"))
    for name in ("eagle3", "deepseek_mtp", "ngram"):
        assert shares_vocabulary(load_drafter(name), LLAMA)


def test_only_heads_derive_from_the_target() -> None:
    with pytest.raises(ConfigError, match="'ngram' is of kind 'ngram' and has no head"):
        head_architecture(load_drafter("ngram"), QWEN)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ngram", {"kind": "n_gram"}, "unknown drafter.kind 'n_gram' in drafter 'ngram'. Did you"),
        ("ngram", {"layers": 1}, "drafter.layers=1 belongs to a drafter of kind 'head'"),
        ("ngram", {"tensor_parallel": 2}, "drafter.tensor_parallel=2 must be 1, or more for"),
        ("ngram", {"architecture": LLAMA}, "'ngram' must not have an architecture of its own."),
        ("qwen2_0_5b", {"architecture": None}, "kind 'model' lacks an architecture of its own."),
        ("qwen2_0_5b", {"tensor_parallel": 0}, "drafter.tensor_parallel=0 must be 1, or more"),
        ("qwen2_0_5b", {"vocab": 9}, "drafter.vocab=9 belongs to a drafter of kind 'head'"),
        ("eagle3", {"layers": 0}, "drafter.layers=0 must be at least 1 in a head"),
        ("eagle3", {"input_vectors": 0}, "drafter.input_vectors=0 must be at least 1 in a head"),
        ("eagle3", {"vocab": -1}, "drafter.vocab=-1 must be at least 0"),
        ("eagle3", {"layer": "sparse"}, "unknown drafter.layer 'sparse'"),
        ("eagle3", {"dtype": "fp8_blok"}, "Did you mean 'fp8_block'?"),
        ("eagle3", {"mlp_ratio": 0.0}, "drafter.mlp_ratio=0.0 must be positive"),
        ("eagle3", {"mlp_ratio": math.nan}, "drafter.mlp_ratio=nan must be positive"),
    ],
)
def test_contradictions_are_refused_by_name(
    name: str, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(load_drafter(name), **change)
    assert message in str(caught.value)
