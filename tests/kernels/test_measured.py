"""Sets of tables per serving engine, formats of the KV cache, and GPUs that others stand for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TableError
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.kernels import work
from simulator.kernels.cleaning import filtered, thinned
from simulator.kernels.fits import DecodeFit
from simulator.kernels.gemm import GemmTable
from simulator.kernels.measured import MeasuredTables, serving_sets
from simulator.kernels.schema import ENGINES, read_table
from simulator.kernels.tables import ExpertShape, KernelTables

HOPPER_AND_BLACKWELL = ["b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm"]
MIXTRAL = ExpertShape(8, 2, 4096, 14336, 1)
UNMEASURED = ExpertShape(64, 8, 3584, 2560, 2)


def load(gpu, engine="vllm"):
    return KernelTables.load(load_gpu(gpu), engine)


VLLM, TRTLLM, SGLANG = (load("h100_sxm", engine) for engine in ENGINES)


# ---- engines


@pytest.mark.parametrize("gpu", HOPPER_AND_BLACKWELL)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_question_is_answered_for_every_engine(gpu, engine):
    tables = load(gpu, engine)
    assert tables.engine == engine
    answers = [tables.gemm(37.5, 4608, 3584, dtype) for dtype in ("bfloat16", "fp8", "fp8_block")]
    answers += [
        tables.experts(10, 35.0, UNMEASURED, dtype)
        for dtype in ("bfloat16", "fp8", "fp8_block", "int4_wo", "w4a16_mxfp4")
    ]
    for kv_dtype in ("bfloat16", "fp8"):
        answers += [
            tables.decode_attention(13.5, 777.7, 5, 14, 2, 128, kv_dtype=kv_dtype),
            tables.prefill_attention(100.5, 1000, 14, 2, 128, kv_dtype=kv_dtype),
            tables.latent_decode_attention(4, 500, 3, 16, kv_dtype),
            tables.latent_prefill_attention(0, 500, 16, kv_dtype),
        ]
    answers += [tables.all_reduce(8 * 3584 * 2, gpus) for gpus in (2, 4)]
    assert all(1e-6 < answer.seconds < 1e-2 for answer in answers)


@pytest.mark.parametrize("dtype", ["bfloat16", "fp8", "fp8_block", "nvfp4"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_engines_reach_like_shares_of_the_same_hardware(engine, dtype):
    tables = load("b200_sxm", engine)
    seconds = tables.experts(16, 8.0, MIXTRAL, dtype).seconds
    size = 8 * work.expert_bytes(4096.0, 14336.0, 3.0, 1.0, dtype)
    assert 0.3 < size / tables.gpu.memory_bandwidth / seconds < 1.05


def test_an_engine_reads_its_own_rows():
    rows = read_table("h100_sxm", "trtllm", "gemm")
    for i in np.random.default_rng(3).choice(len(rows["m"]), 50, replace=False):
        key = (rows["m"][i].item(), rows["n"][i].item(), rows["k"][i].item())
        timing = TRTLLM.gemm(*key, "bfloat16")
        assert timing.seconds == pytest.approx(rows["monotone_seconds"][i], rel=1e-6)
        assert timing.kind == "measured"


def test_what_an_engine_lacks_vllms_set_answers():
    assert TRTLLM.gemm(8, 4096, 4096, "fp8_block") == VLLM.gemm(8, 4096, 4096, "fp8_block")
    assert SGLANG.latent_decode_attention(8, 1000, 1, 16)[1] == "measured"
    a100, other = load("a100_sxm"), load("a100_sxm", "sglang")
    assert other.gemm(8, 4096, 4096, "bfloat16") == a100.gemm(8, 4096, 4096, "bfloat16")
    assert other.experts(8, 8, MIXTRAL, "int4_wo") == a100.experts(8, 8, MIXTRAL, "int4_wo")
    assert other.describe() == []


def test_what_nobody_measured_is_refused_whatever_the_engine():
    with pytest.raises(TableError, match="Known: bfloat16, fp8, fp8_block"):
        SGLANG.gemm(8, 4096, 4096, "int4_wo")
    with pytest.raises(TableError, match="expert dtype 'nvfp4'"):
        TRTLLM.experts(8, 8, MIXTRAL, "nvfp4")


def test_measured_shapes_of_vllm_come_before_fits_of_the_engine():
    deepseek = ExpertShape(256, 8, 7168, 2048, 8)
    b200, sglang = load("b200_sxm"), load("b200_sxm", "sglang")
    assert sglang.experts(32, 160, deepseek, "fp8_block") == b200.experts(
        32, 160, deepseek, "fp8_block"
    )
    own = TRTLLM.experts(32, 8, MIXTRAL, "bfloat16")
    assert own.kind == "measured"
    assert own != VLLM.experts(32, 8, MIXTRAL, "bfloat16")
    fitted = TRTLLM.experts(32, 50, UNMEASURED, "bfloat16")
    assert fitted.kind == "fitted"
    assert fitted != VLLM.experts(32, 50, UNMEASURED, "bfloat16")


def test_a_head_width_that_only_vllm_measured_is_vllms():
    question = (8, 4000, 1, 8, 1, 512)  # TensorRT-LLM has no kernel of that width on Hopper
    assert TRTLLM.decode_attention(*question) == VLLM.decode_attention(*question)
    assert TRTLLM.decode_attention(*question).kind == "measured"


def test_a_group_that_only_one_engine_measured_is_that_engines():
    assert load("gb300", "trtllm").all_reduce(1e6, 16).kind == "measured"
    with pytest.raises(TableError, match="measured: 2, 4"):
        load("gb300").all_reduce(1e6, 16)


def test_an_unknown_engine_is_refused_with_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'sglang'"):
        KernelTables.load(load_gpu("h100_sxm"), "sglan")
    with pytest.raises(TableError, match="Did you mean 'trtllm'"):
        read_table("h100_sxm", "trtlm", "gemm")


def test_sets_come_own_first_and_vllm_last():
    assert [s.engine for s in serving_sets("h100_sxm", "sglang")] == ["sglang", "vllm"]
    assert [s.engine for s in serving_sets("h100_sxm", "vllm")] == ["vllm"]


def test_only_the_sets_beside_vllms_are_thinned():
    for engine in ENGINES:
        rows = read_table("h200_sxm", engine, "gemm", ["m", "n", "k"])
        assert bool(thinned(rows).all()) == (engine != "vllm")


@pytest.mark.parametrize("dtype", ["bfloat16", "fp8_block"])
def test_what_thinning_drops_is_read_back_between_what_it_keeps(dtype):
    rows = read_table("h100_sxm", "vllm", "gemm")
    rows = filtered(rows, rows["dtype"] == dtype)
    keep = thinned(rows)
    few = GemmTable("h100_sxm", filtered(rows, keep))
    lost = filtered(rows, ~keep & (rows["k"] >= 64) & (rows["k"] <= 51200))
    picks = np.random.default_rng(0).choice(len(lost["m"]), 1000, replace=False)
    read = [few.at(*(lost[name][i].item() for name in "mnk"), dtype).seconds for i in picks]
    errors = np.abs(read / lost["monotone_seconds"][picks] - 1)
    assert np.median(errors) < 0.05
    assert np.quantile(errors, 0.9) < 0.2  # half of them lie just beyond a tile


# ---- formats of the KV cache


@pytest.mark.parametrize("gpu", HOPPER_AND_BLACKWELL)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_fp8_cache_is_read_faster_where_reading_is_all(gpu, engine):
    tables = load(gpu, engine)
    sixteen, eight = (
        tables.decode_attention(16, 8192, 1, 32, 8, 128, kv_dtype=kv_dtype)
        for kv_dtype in ("bfloat16", "fp8")
    )
    assert sixteen.kind == eight.kind == "measured"
    assert 0.45 * sixteen.seconds < eight.seconds < sixteen.seconds


@pytest.mark.parametrize("gpu", ["a100_sxm", "l40s", "rtx_pro_6000_server"])
def test_an_unmeasured_format_is_the_fit_with_half_the_bytes(gpu):
    tables = load(gpu)
    latent = tables.latent_decode_attention(64, 16384, 1, 16, "fp8")
    assert latent.kind == "fitted"
    assert latent.seconds < tables.latent_decode_attention(64, 16384, 1, 16).seconds


def test_an_unmeasured_format_of_plain_attention():
    tables = load("a100_sxm")
    timing = tables.decode_attention(64, 16384, 1, 32, 8, 128, kv_dtype="fp8")
    fit = tables._sets[-1].fits("decode_attention", DecodeFit)["bfloat16"]
    size = 2 * 64 * 16384 * 8 * 128  # keys and values, one byte each
    expected = fit.t0_s + size / (fit.eta_bandwidth * tables.gpu.memory_bandwidth)
    expected += fit.per_query_head_s * 64 * 32
    assert timing == (pytest.approx(expected), "fitted")
    prompt = tables.prefill_attention(0, 8192, 32, 8, 128, kv_dtype="fp8")
    assert prompt.kind == "fitted"
    assert prompt.seconds == pytest.approx(
        tables.prefill_attention(0, 8192, 32, 8, 128).seconds, rel=0.3
    )


def test_formats_are_refused_where_there_is_nothing_to_go_by():
    with pytest.raises(TableError, match="Did you mean 'fp8'"):
        VLLM.decode_attention(1, 100, 1, 8, 8, 128, kv_dtype="fp4")
    with pytest.raises(TableError, match="not measured with a int8 cache on NVIDIA A100"):
        MeasuredTables("a100_sxm", "vllm").latent_prefill("int8")


# ---- GPUs that others stand for


def test_a_gpu_with_less_nvlink_sends_longer():
    h800, h100 = load("h800_sxm"), VLLM
    assert h800.all_reduce(256, 8) == (h100.all_reduce(256, 8).seconds, "fitted")
    # The latency, a thousandth here, does not grow.
    ratio = h800.all_reduce(256e6, 8).seconds / h100.all_reduce(256e6, 8).seconds
    assert ratio == pytest.approx(900 / 400, rel=0.01)
    assert h800.gemm(64, 4096, 4096, "fp8") == h100.gemm(64, 4096, 4096, "fp8")


@given(st.floats(1, 5e8), st.sampled_from([2, 4, 8]))
def test_less_nvlink_never_sends_faster(message, gpus):
    h800, h100 = (load(name).all_reduce(message, gpus).seconds for name in ("h800_sxm", "h100_sxm"))
    assert h100 <= h800 <= 900 / 400 * h100


@given(
    st.floats(1, 30000),
    st.sampled_from([4096, 7168, 14336]),
    st.sampled_from(["bfloat16", "fp8"]),
)
def test_nothing_computes_above_the_gpus_own_peak(tokens, width, dtype):
    l40, l40s = load("l40"), load("l40s")
    peak = l40.gpu.peak(dtype)
    pairs = [
        (2 * tokens * width * width, [t.gemm(tokens, width, width, dtype) for t in (l40, l40s)]),
        (
            6 * 4096 * 14336 * 2 * tokens,
            [t.experts(tokens, 8, MIXTRAL, dtype) for t in (l40, l40s)],
        ),
        (
            4 * 32 * 128 * tokens**2 / 2,
            [t.prefill_attention(0, tokens, 32, 8, 128, kv_dtype=dtype) for t in (l40, l40s)],
        ),
    ]
    for flops, (own, standing) in pairs:
        assert own.seconds == pytest.approx(max(standing.seconds, flops / peak))
        assert own.kind == (standing.kind if own == standing else "fitted") or (
            standing.kind == "assumed"
        )


def test_a_gpu_with_tables_of_its_own_is_never_capped():
    slow = replace(load_gpu("l40s"), peak_flops={"bfloat16": 1.0})
    assert KernelTables.load(slow).gemm(64, 64, 64, "bfloat16").seconds < 1e-3


@pytest.mark.parametrize("name", gpu_names())
def test_every_gpu_has_tables_and_links_like_its_stand_in(name):
    gpu = load_gpu(name)
    stands = load_gpu(gpu.tables)
    assert stands.tables == stands.name
    assert gpu.memory_bandwidth == stands.memory_bandwidth
    assert (gpu.nvlink_bandwidth is None) == (stands.nvlink_bandwidth is None)
    assert set(gpu.peak_flops) == set(stands.peak_flops)
