import pytest

from simulator.models.catalog import load_architecture, model_names
from simulator.models.flops import flops_per_token, operator_flops
from simulator.models.forward import forward_operators
from simulator.models.operators import (
    AllReduce,
    Elementwise,
    Experts,
    GroupedQueryAttention,
    LinearAttention,
    SparseLatentAttention,
)
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import active_parameters, parameters


@pytest.mark.parametrize("name", model_names())
def test_a_token_costs_two_flops_per_active_parameter(name: str) -> None:
    """Embedding lookup aside, unless the LM head is the embedding; vectors add without matrices.

    The state of linear attention has no weights: its work comes on top.
    """
    arch = load_architecture(name)
    matrices = active_parameters(arch)
    if not arch.tied_embeddings:
        matrices -= parameters(arch)["embedding"]
    state = sum(
        operator_flops(op) for op in forward_operators(arch) if isinstance(op, LinearAttention)
    )
    assert flops_per_token(arch) - state == pytest.approx(2 * matrices, rel=0.002)


@pytest.mark.parametrize("name", ["llama_3_1_8b", "opt_30b", "qwen2_57b_a14b"])
def test_attention_grows_by_four_flops_per_query_element_and_cached_token(name: str) -> None:
    arch = load_architecture(name)
    grown = flops_per_token(arch, 1000) - flops_per_token(arch)
    width = arch.attention.heads * arch.attention.head_dim
    assert grown == 4 * width * 1000 * arch.layers


def test_a_window_bounds_the_attention_of_its_layers() -> None:
    arch = load_architecture("gpt_oss_20b")
    grown = flops_per_token(arch, 10_000) - flops_per_token(arch)
    assert grown == 4 * 64 * 64 * 12 * (10_000 + 128)
    short = flops_per_token(arch, 100) - flops_per_token(arch)
    assert short == 4 * 64 * 64 * 24 * 100


def test_absorbed_latent_attention_works_on_the_latent() -> None:
    """Per head and cached token: scores over latent and rotary part, values over the latent."""
    arch = load_architecture("deepseek_v3")
    grown = flops_per_token(arch, 500) - flops_per_token(arch)
    assert grown == 2 * 128 * (512 + 64 + 512) * 500 * 61


@pytest.mark.parametrize("context", [1000, 100_000])
def test_sparse_attention_is_bounded_but_its_indexer_grows(context: int) -> None:
    """DeepSeek-V3.2-Exp report, section 1: O(L^2) to O(L k), but for the indexer."""
    arch = load_architecture("glm_5")
    grown = flops_per_token(arch, context) - flops_per_token(arch)
    attended = 2 * 64 * (512 + 64 + 512) * min(context, 2048)
    assert grown == 78 * (attended + 2 * 32 * 128 * context)


def test_linear_attention_does_not_grow_with_context() -> None:
    arch = load_architecture("qwen3_5_397b_a17b")
    grown = flops_per_token(arch, 100_000) - flops_per_token(arch)
    assert grown == 4 * 32 * 256 * 100_000 * 15


def test_operators_of_a_group_share_the_work() -> None:
    arch = load_architecture("mixtral_8x7b")
    whole, shared = forward_operators(arch), forward_operators(arch, Parallelism(4))
    for part in ("projections", "attention", "experts", "lm_head"):
        work = [
            sum(operator_flops(op, 700) for op in operators if op.part == part)
            for operators in (whole, shared)
        ]
        assert work[0] == 4 * work[1] > 0


def test_single_operators() -> None:
    experts = Experts(8, 2, 100, 60, 2, "bfloat16", 3, gated=False)
    assert operator_flops(experts) == 2 * 2 * (2 * 100 * 30) * 3
    attention = GroupedQueryAttention(4, 2, 16, window=10, calls=5)
    assert operator_flops(attention, 7) == 4 * 4 * 16 * 7 * 5
    assert operator_flops(attention, 70) == 4 * 4 * 16 * 10 * 5
    assert operator_flops(AllReduce(64, 2, 1), 7) == operator_flops(Elementwise(64.0, 1, 1), 7) == 0
    sparse = SparseLatentAttention(2, 16, 4, 8, 8, 3, 10, top_k=5, calls=2)
    assert operator_flops(sparse, 7) == 2 * (2 * 2 * (16 * 16 + (2 * 16 + 4) * 5) + 2 * 3 * 10 * 7)
    linear = LinearAttention(2, 4, 8, 16, conv_width=4, calls=3)
    assert operator_flops(linear) == operator_flops(linear, 999)
    assert operator_flops(linear) == 3 * (7 * 4 * 8 * 16 + 2 * 4 * (2 * 2 * 8 + 4 * 16))
