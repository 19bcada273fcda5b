"""Engine overheads as data, and the memory left for the KV cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.engine import engine_names, load_engine
from simulator.costs.memory import plan_memory
from simulator.errors import TableError
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.models.catalog import load_architecture, load_drafter
from simulator.models.parameters import kv_bytes_per_token, weight_bytes


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


def test_memory_is_what_weights_and_reserves_leave():
    gpu, engine = load_gpu("a100_sxm"), load_engine("vllm")
    target = load_architecture("qwen2_57b_a14b")
    plan = plan_memory(gpu, engine, target, None, 2)
    assert plan.weight_bytes == weight_bytes(target, 2)
    left = 0.9 * gpu.memory_bytes - engine.activation_reserve_bytes - plan.weight_bytes
    assert plan.kv_capacity_tokens == int(left / kv_bytes_per_token(target, 2))


def test_a_drafter_takes_memory_of_both_kinds():
    gpu, engine = load_gpu("a100_sxm"), load_engine("vllm")
    target, drafter = load_architecture("qwen2_57b_a14b"), load_drafter("qwen2_0_5b")
    alone, together = (plan_memory(gpu, engine, target, d, 2) for d in (None, drafter))
    assert together.weight_bytes > alone.weight_bytes + 0.9e9
    assert together.kv_bytes_per_token > alone.kv_bytes_per_token
    assert together.kv_capacity_tokens < alone.kv_capacity_tokens


def test_a_model_that_does_not_fit_leaves_nothing():
    plan = plan_memory(
        load_gpu("l40s"), load_engine("vllm"), load_architecture("deepseek_v3"), None, 1
    )
    assert plan.kv_capacity_tokens == 0


@pytest.mark.parametrize("name", gpu_names())
def test_gpu_figures_have_sources_and_sane_ridges(name):
    gpu = load_gpu(name)
    assert all(figure.source and figure.unit for figure in gpu.provenance.values())
    assert 100 < gpu.ridge_flop_per_byte("bfloat16") < 500


def test_a_dtype_without_tensor_cores_is_refused():
    with pytest.raises(TableError, match="no fp8 tensor-core peak; it computes in bfloat16"):
        load_gpu("a100_sxm").peak("fp8_block")
