"""Experts: what the number of distinct experts and the number of tokens cost, each on its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.schema import read_table
from simulator.kernels.tables import ExpertShape, KernelTables

A100 = KernelTables.load(load_gpu("a100_sxm"))
H100 = KernelTables.load(load_gpu("h100_sxm"))
QWEN3 = ExpertShape(128, 8, 2048, 768, 1)
MIXTRAL = ExpertShape(8, 2, 4096, 14336, 2)
QWEN2 = ExpertShape(64, 8, 3584, 2560, 2)  # not measured anywhere
GPT_OSS = ExpertShape(128, 4, 2880, 2880, 1)


def curve(gpu, shape, dtype):
    rows = read_table(gpu, "vllm", "experts")
    keep = rows["dtype"] == dtype
    for name in ("experts", "top_k", "hidden", "inter", "tensor_parallel", "expert_parallel"):
        keep &= rows[name] == getattr(shape, name)
    return rows["tokens"][keep].astype(float), rows["seconds"][keep].astype(float)


@pytest.mark.parametrize(
    ("tables", "shape", "dtype"),
    [(A100, QWEN3, "bfloat16"), (H100, MIXTRAL, "bfloat16"), (H100, QWEN3, "fp8_block"),
     (A100, MIXTRAL, "int4_wo"), (H100, GPT_OSS, "w4a16_mxfp4")],
)  # fmt: skip
def test_under_balanced_routing_the_measurement_comes_back(tables, shape, dtype):
    tokens, seconds = curve(tables.gpu.name, shape, dtype)
    assert len(tokens) > 15
    for t, expected in zip(tokens, seconds, strict=True):
        timing = tables.experts(t, min(shape.experts, t * shape.top_k), shape, dtype)
        assert timing.seconds == pytest.approx(expected, rel=1e-6)
        assert timing.kind == "measured"


def test_fewer_experts_cost_the_curve_at_their_number_plus_the_tokens_excess():
    tokens, seconds = curve("a100_sxm", QWEN3, "bfloat16")
    at = dict(zip(tokens, seconds, strict=True))
    knee = 128 / 8
    expected = at[4.0] + (at[512.0] - min(s for t, s in at.items() if t >= knee))
    assert A100.experts(512, 4 * 8, QWEN3, "bfloat16").seconds == pytest.approx(expected, rel=1e-6)


def test_the_number_of_experts_is_an_input_not_derived_from_tokens():
    few, many = (A100.experts(16, n, QWEN3, "bfloat16").seconds for n in (20.0, 128.0))
    assert many > 3 * few


@given(st.floats(1, 2000), st.floats(1, 128), st.floats(1, 1.5))
def test_measured_time_never_falls_in_the_number_of_experts(tokens, active, factor):
    more = min(128.0, active * factor)
    low = A100.experts(tokens, active, QWEN3, "bfloat16").seconds
    assert 0 < low <= A100.experts(tokens, more, QWEN3, "bfloat16").seconds * (1 + 1e-9)


@given(st.floats(1, 20000), st.floats(1, 64), st.floats(1, 3), st.floats(1, 2))
def test_fitted_time_grows_in_tokens_and_experts(tokens, active, more_tokens, more_experts):
    low = A100.experts(tokens, active, QWEN2, "bfloat16")
    assert low.kind == "fitted"
    assert low.seconds < A100.experts(tokens * more_tokens + 1, active, QWEN2, "bfloat16").seconds
    most = min(64.0, active * more_experts)
    assert low.seconds <= A100.experts(tokens, most, QWEN2, "bfloat16").seconds


@pytest.mark.parametrize("active", [8.0, 31.9, 64.0, 127.99, 128.0])
def test_time_is_continuous_in_both_inputs(active):
    for tokens in (1.0, 15.99, 16.0, 16.01, 64.0, 16384.0):
        base = A100.experts(tokens, active, QWEN3, "bfloat16").seconds
        near = A100.experts(tokens * (1 + 1e-7), active * (1 - 1e-7), QWEN3, "bfloat16").seconds
        assert near == pytest.approx(base, rel=1e-5)


def test_beyond_the_measured_tokens_the_curve_follows_the_fit():
    tokens, seconds = curve("a100_sxm", QWEN3, "bfloat16")
    last = tokens.max()
    beyond = A100.experts(2 * last, 128, QWEN3, "bfloat16")
    assert beyond.kind == "fitted"
    assert 1.5 < beyond.seconds / seconds[tokens.argmax()] < 2.5
    first = tokens.min()
    below = A100.experts(first / 4, first / 4 * 8, QWEN3, "bfloat16")
    assert below.kind == "fitted"
    assert below.seconds < seconds.min()


def test_spread_experts_are_measured_per_gpu():
    spread = ExpertShape(128, 8, 4096, 1536, 1, expert_parallel=4)
    timing = H100.experts(64, 32, spread, "bfloat16")
    assert timing.kind == "measured"
    whole = H100.experts(64, 128, ExpertShape(128, 8, 4096, 1536, 1), "bfloat16")
    assert timing.seconds < whole.seconds / 2


def test_ungated_experts_take_two_thirds_of_the_memory_time():
    shape = ExpertShape(64, 8, 3584, 2560, 1)
    gated = H100.experts(32, 64, shape, "bfloat16").seconds
    plain = H100.experts(32, 64, ExpertShape(64, 8, 3584, 2560, 1, gated=False), "bfloat16").seconds
    assert 2 / 3 < plain / gated < 0.75


@pytest.mark.parametrize("active", [0.0, -1.0, 64.1])
def test_impossible_numbers_of_experts_are_refused(active):
    with pytest.raises(TableError, match="active experts"):
        A100.experts(4, active, QWEN2, "bfloat16")


def test_an_unmeasured_dtype_is_refused_with_the_known_ones():
    with pytest.raises(TableError, match=r"Known: bfloat16, int4_wo"):
        A100.experts(4, 8, QWEN3, "fp8_block")


def test_deepseek_v3_rows_are_physically_possible():
    # The half-activated rows of vllm 0.24.0 imply 1.7 times the memory bandwidth.
    shape = ExpertShape(256, 8, 7168, 2048, 8)
    for name in ("h100_sxm", "h200_sxm", "b200_sxm", "gb200"):
        tables = KernelTables.load(load_gpu(name))
        timing = tables.experts(64, 256, shape, "fp8_block")
        assert timing.kind == "measured"
        weights = 256 * 3 * 7168 * 2048 / 8
        assert 0.3 < weights / timing.seconds / tables.gpu.memory_bandwidth < 1.0


def test_qwen2_57b_target_efficiency_on_a100_rises_and_falls():
    def uniform(tokens):
        return 64 * (1 - (1 - 8 / 64) ** tokens)

    def seconds(tokens):
        return A100.experts(tokens, uniform(tokens), QWEN2, "bfloat16").seconds

    batches = [1, 2, 4, 8, 16, 24, 32, 48, 64, 100]
    for queries in (3, 4, 5):
        efficiency = np.array([seconds(b) / seconds(b * queries) for b in batches])
        assert batches[efficiency.argmin()] <= 4
        assert 8 <= batches[efficiency.argmax()] <= 48
        assert efficiency[-1] < efficiency.max() - 0.05


def test_rows_sorted_by_expert_are_measured_over_wide_groups():
    """128 tokens of each of 64 H100: the row of the source, and less than with sorting."""
    shape = ExpertShape(256, 8, 7168, 2048, 1, expert_parallel=64)
    timing = H100.experts(8192, 4, shape, "fp8_block", masked=True)
    assert timing.seconds == pytest.approx(109.92e-6, rel=1e-3)
    assert timing.seconds < H100.experts(8192, 4, shape, "fp8_block").seconds


@pytest.mark.parametrize("gpus", [72, 144])
def test_replicas_beside_256_experts_cost_as_many_experts_as_a_gpu_holds(gpus):
    """288 slots were not measured: 4 and 2 a GPU, as of 256 experts over 64 and 128 GPUs."""
    like = {72: 64, 144: 128}[gpus]
    slots = ExpertShape(288, 8, 7168, 2048, 1, expert_parallel=gpus)
    experts = ExpertShape(256, 8, 7168, 2048, 1, expert_parallel=like)
    for each in (8, 64):
        held = 288 / gpus
        ours = H100.experts(each * gpus, held, slots, "fp8_block", masked=True)
        measured = H100.experts(each * like, held, experts, "fp8_block", masked=True)
        assert ours.seconds == pytest.approx(measured.seconds, rel=0.06)


@pytest.mark.parametrize(("tables", "dtype"), [(A100, "bfloat16"), (H100, "bfloat16")])
def test_where_no_sorted_rows_were_measured_the_usual_kernel_answers(tables, dtype):
    plain = tables.experts(64, 100, QWEN3, dtype)
    assert tables.experts(64, 100, QWEN3, dtype, masked=True) == plain
