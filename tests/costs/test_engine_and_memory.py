"""Engine overheads as data, and the memory left for the KV cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.engine import engine_names, load_engine
from simulator.costs.memory import plan_memory
from simulator.errors import TableError
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.models.catalog import load_architecture, load_drafter
from simulator.models.parallelism import SINGLE_GPU, Parallelism
from simulator.models.parameters import kv_bytes_per_token, state_bytes_per_request, weight_bytes


def test_every_engine_figure_has_its_source():
    for name in engine_names():
        engine = load_engine(name)
        assert engine.provenance
        assert all(figure.source for figure in engine.provenance.values())


def test_unknown_engine_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'vllm'"):
        load_engine("vlm")


@given(st.floats(0, 1e12), st.integers(0, 50))
def test_elementwise_time_is_launches_plus_traffic(moved_bytes, kernels):
    engine, gpu = load_engine("vllm"), load_gpu("h100_sxm")
    seconds = engine.elementwise_s(moved_bytes, kernels, gpu)
    traffic = moved_bytes / (engine.memory_efficiency * gpu.memory_bandwidth)
    assert seconds == pytest.approx(kernels * engine.kernel_launch_s + traffic)


def test_sampling_nothing_is_free_and_grows_with_rows():
    engine, gpu = load_engine("vllm"), load_gpu("h100_sxm")
    assert engine.sampling_s(0, 150_000, gpu) == 0
    assert engine.sampling_s(64, 150_000, gpu) > engine.sampling_s(1, 150_000, gpu)


def plan(gpu, engine, target, drafter, parallelism, gamma=0):
    return plan_memory(
        gpu, engine, target, drafter, parallelism, max_num_seqs=256, draft_tokens=gamma
    )


def test_memory_is_what_weights_and_reserves_leave():
    gpu, engine = load_gpu("a100_sxm"), load_engine("vllm")
    target = load_architecture("qwen2_57b_a14b")
    held = plan(gpu, engine, target, None, Parallelism(2))
    assert held.weight_bytes == weight_bytes(target, Parallelism(2))
    left = 0.9 * gpu.memory_bytes - engine.activation_reserve_bytes - held.weight_bytes
    assert held.kv_capacity_tokens == int(left / kv_bytes_per_token(target, Parallelism(2)))


def test_a_drafter_takes_memory_of_both_kinds():
    gpu, engine = load_gpu("a100_sxm"), load_engine("vllm")
    target, drafter = load_architecture("qwen2_57b_a14b"), load_drafter("qwen2_0_5b")
    alone, together = (plan(gpu, engine, target, d, Parallelism(2)) for d in (None, drafter))
    assert together.weight_bytes > alone.weight_bytes + 0.9e9
    assert together.kv_bytes_per_token > alone.kv_bytes_per_token
    assert together.kv_capacity_tokens < alone.kv_capacity_tokens


def test_a_model_that_does_not_fit_leaves_nothing():
    held = plan(
        load_gpu("l40s"), load_engine("vllm"), load_architecture("deepseek_v3"), None, SINGLE_GPU
    )
    assert held.kv_capacity_tokens == 0


def test_attention_groups_trade_weights_for_cache():
    """Eight groups of one GPU hold attention eight times, but no token of cache twice.

    The latent cache is whole on every GPU of a group, so eight groups cache about eight times as
    much; each has all of attention, dense layers and shared experts in memory for it.
    """
    gpu, engine = load_gpu("b200_sxm"), load_engine("vllm")
    target = load_architecture("deepseek_v3")
    split, grouped = (
        plan(gpu, engine, target, None, spread)
        for spread in (Parallelism(8), Parallelism(data=8, expert=8))
    )
    assert grouped.kv_bytes_per_token == split.kv_bytes_per_token
    alone = weight_bytes(target) - 256 * 58 * 3 * 2048 * 7168 * (1 + 4 / 128**2)
    # Down-projections and router, replicated either way, are 6 % of it.
    more = grouped.weight_bytes - split.weight_bytes
    assert 0.9 * alone * 7 / 8 < more < alone * 7 / 8
    assert 4 < 8 * grouped.kv_capacity_tokens / split.kv_capacity_tokens < 8


def test_stages_of_a_pipeline_share_weights_and_cache():
    gpu, engine = load_gpu("h200_sxm"), load_engine("vllm")
    target = load_architecture("llama_3_1_70b")
    whole, stage = (
        plan(gpu, engine, target, None, Parallelism(2, pipeline=stages)) for stages in (1, 2)
    )
    assert stage.kv_bytes_per_token == whole.kv_bytes_per_token / 2
    # Half the layers, and one of embedding and LM head; the norm after the last counts in both.
    assert stage.weight_bytes == pytest.approx(whole.weight_bytes / 2, rel=1e-5)
    assert stage.kv_capacity_tokens > 2 * whole.kv_capacity_tokens


def test_linear_attention_sets_state_aside_for_every_request_that_may_run():
    gpu, engine = load_gpu("b200_sxm"), load_engine("vllm")
    target = load_architecture("qwen3_5_397b_a17b")
    plain, drafted = (plan(gpu, engine, target, None, Parallelism(8), gamma) for gamma in (0, 3))
    assert plain.state_bytes == 256 * state_bytes_per_request(target, Parallelism(8))
    assert drafted.state_bytes > 4 * plain.state_bytes  # one after each token to verify
    left = plain.usable_bytes - plain.weight_bytes - plain.state_bytes
    assert plain.kv_capacity_tokens == int(left / plain.kv_bytes_per_token)


@pytest.mark.parametrize("name", gpu_names())
def test_gpu_figures_have_sources_and_sane_ridges(name):
    gpu = load_gpu(name)
    assert all(figure.source and figure.unit for figure in gpu.provenance.values())
    assert 100 < gpu.ridge_flop_per_byte("bfloat16") < 500


def test_a_dtype_without_tensor_cores_is_refused():
    with pytest.raises(TableError, match="no fp8 tensor-core peak; it computes in bfloat16"):
        load_gpu("a100_sxm").peak("fp8_block")
