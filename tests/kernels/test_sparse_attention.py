"""Sparse attention: modules come back, and what is left of them without their projections."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.schema import ENGINES, read_table
from simulator.kernels.sparse_attention import SparseDecode, SparseShape
from simulator.kernels.sparse_modules import (
    MODULES,
    PLATEAU,
    SMALL_KERNELS_S,
    carried_on,
    decode_work,
    prefill_work,
)
from simulator.kernels.tables import KernelTables
from simulator.models.catalog import load_architecture
from simulator.models.forward import forward_operators
from simulator.models.operators import Gemm, SparseLatentAttention
from simulator.models.parallelism import Parallelism

GPUS = ["b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm"]
GLM_5, DEEPSEEK = MODULES["GlmMoeDsaForCausalLM"], MODULES["DeepseekV32ForCausalLM"]
H100 = KernelTables.load(load_gpu("h100_sxm"))
SGLANG = KernelTables.load(load_gpu("h100_sxm"), "sglang")


def shape(heads, module=GLM_5):
    return replace(module.shape, heads=heads)


def products_s(tables, module, heads, tokens):
    return sum(tables.gemm(tokens, n, k, "bfloat16").seconds for n, k in module.products(heads))


# ---- what was measured


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gpu", GPUS)
def test_whole_modules_come_back(gpu, engine):
    tables, rows = (
        KernelTables.load(load_gpu(gpu), engine),
        read_table(gpu, engine, "sparse_decode"),
    )
    some = np.random.default_rng(5).choice(len(rows["heads"]), 200, replace=False)
    for i in some:
        module = MODULES[rows["architecture"][i]]
        timing = tables.sparse_decode_module(
            float(rows["batch"][i]),
            float(rows["context"][i]),
            1,
            shape(int(rows["heads"][i]), module),
            str(rows["dtype"][i]),
        )
        assert timing == (pytest.approx(rows["seconds"][i], rel=1e-5), "measured")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gpu", GPUS)
def test_a_module_is_its_products_its_small_kernels_and_what_is_left(gpu, engine):
    """Within 1 us where the rest is above its bound, on rows of GLM-5."""
    tables = KernelTables.load(load_gpu(gpu), engine)
    own = tables._first("gemm").gemm
    for heads in (8, 64):
        for batch in (8, 64):
            whole = tables.sparse_decode_module(batch, 1025, 1, shape(heads)).seconds
            rest = tables.sparse_decode_attention(batch, 1025, 1, shape(heads))
            products = (own.at(batch, n, k, "bfloat16") for n, k in GLM_5.products(heads))
            parts = sum(product.seconds for product in products) + SMALL_KERNELS_S
            assert rest.seconds >= whole - parts - 1e-9
            assert rest.seconds <= max(whole - parts, 0.0) + 15e-6
            assert rest.kind == "fitted"


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_modules_hold_their_projections(engine):
    """56 more heads of GLM-5 are 260 MB more of weights: 78 us at H100's peak bandwidth.

    SGLang's modules grow by that and a little; vLLM's by less, as they hold a floor of their own.
    """
    tables = KernelTables.load(load_gpu("h100_sxm"), engine)
    grown = [tables.sparse_decode_module(1, 1025, 1, shape(heads)).seconds for heads in (8, 64)]
    weights = sum(n * k for n, k in GLM_5.products(64)) - sum(n * k for n, k in GLM_5.products(8))
    absorbed = 56 * 512 * (192 + 256)
    at_peak = 2 * (weights + absorbed) / H100.gpu.memory_bandwidth
    assert 2 * (weights + absorbed) == pytest.approx(260e6, rel=0.02)
    assert 0.8 < (grown[1] - grown[0]) / at_peak < 1.3


def test_the_products_are_those_that_models_price_on_their_own():
    operators = forward_operators(load_architecture("glm_5"), Parallelism(tensor=8))
    gemms = {(op.n, op.k) for op in operators if isinstance(op, Gemm) and op.part == "projections"}
    assert gemms == set(GLM_5.products(8))
    (sparse,) = (op for op in operators if isinstance(op, SparseLatentAttention))
    named = {name: getattr(sparse, name) for name in SparseShape.__dataclass_fields__}
    assert SparseShape(**named) == shape(8)


@pytest.mark.parametrize("dtype", ["bfloat16", "fp8"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gpu", GPUS)
def test_what_is_left_is_within_the_hardware(gpu, engine, dtype):
    tables = KernelTables.load(load_gpu(gpu), engine)
    for heads in (8, 64):
        for batch, context in ((1, 1000), (64, 8000), (256, 30000)):
            size, flops = decode_work(batch, context, 1, shape(heads), 1.0)
            seconds = tables.sparse_decode_attention(batch, context, 1, shape(heads), dtype).seconds
            assert seconds > 0.95 * size / tables.gpu.memory_bandwidth
            assert seconds > 0.5 * flops / tables.gpu.peak("bfloat16")  # part of it runs in fp8
            assert seconds < 300e-6 + 8 * size / tables.gpu.memory_bandwidth


def test_a_format_that_an_engine_lacks_is_answered_by_vllm():
    trtllm = KernelTables.load(load_gpu("h100_sxm"), "trtllm")
    question = 16, 4000, 1, shape(8)
    assert trtllm.sparse_decode_attention(*question, "fp8") == H100.sparse_decode_attention(
        *question, "fp8"
    )
    assert trtllm.sparse_decode_attention(*question) != H100.sparse_decode_attention(*question)


def test_an_unknown_format_is_refused():
    with pytest.raises(TableError, match="unknown KV cache dtype 'fp4'"):
        H100.sparse_decode_attention(1, 100, 1, shape(8), "fp4")


# ---- along batch, context and queries


@settings(max_examples=50)
@given(
    st.sampled_from(ENGINES),
    st.sampled_from([8, 16, 64]),
    st.floats(1, 256),
    st.floats(2, 130000),
    st.floats(1.5, 8),
)
def test_more_requests_or_longer_contexts_take_longer(engine, heads, batch, context, factor):
    """Rows are not made monotone: kernels change with size, TensorRT-LLM's most, at the top k."""
    tables = KernelTables.load(load_gpu("b200_sxm"), engine)

    def seconds(batch, context):
        return tables.sparse_decode_attention(batch, context, 1, shape(heads), "fp8").seconds

    slack = 3.5 if engine == "trtllm" else 1.3
    assert seconds(batch, context) < slack * seconds(factor * batch, context) + 10e-6
    assert seconds(batch, context) < slack * seconds(batch, factor * context) + 10e-6


@pytest.mark.parametrize("tables", [H100, SGLANG])
def test_verifying_is_decoding_so_many_more_requests(tables):
    verify = tables.sparse_decode_attention(16, 4000, 4, shape(8))
    assert verify == tables.sparse_decode_attention(64, 4000, 1, shape(8))


def test_beyond_the_memory_of_the_measurement_times_are_assumed():
    """SGLang was measured with 256 Ki cached tokens at most."""
    assert SGLANG.sparse_decode_attention(16, 8000, 1, shape(8)).kind == "fitted"
    assert SGLANG.sparse_decode_attention(128, 8000, 1, shape(8)).kind == "assumed"
    assert SGLANG.sparse_decode_module(128, 8000, 1, shape(8)).kind == "assumed"
    assert SGLANG.sparse_decode_attention(1, 300000, 1, shape(8)).kind == "assumed"


@pytest.mark.parametrize("dtype", ["bfloat16", "fp8"])
@pytest.mark.parametrize("gpu", ["b200_sxm", "h100_sxm", "h200_sxm"])
def test_carrying_on_finds_what_was_hidden(gpu, dtype):
    """vLLM's tables are complete: hide what SGLang could not measure, and compare."""
    rows = read_table(gpu, "vllm", "sparse_decode")
    keep = (rows["architecture"] == "GlmMoeDsaForCausalLM") & (rows["dtype"] == dtype)
    keep &= (rows["heads"] == 64) & (rows["batch"] <= 256)
    contexts, batches = (np.unique(rows[name][keep]).astype(float) for name in ("context", "batch"))
    times = np.full((len(contexts), len(batches)), np.nan)
    places = [np.searchsorted(axis, rows[name][keep]) for axis, name in
              ((contexts, "context"), (batches, "batch"))]  # fmt: skip
    times[tuple(places)] = rows["seconds"][keep]
    hidden = contexts[:, None] * batches > 2**18 + 300
    found = carried_on(np.where(hidden, np.nan, times), contexts, batches, 2048)
    known = hidden & ~np.isnan(times)
    errors = np.abs(found[known] / times[known] - 1)
    assert np.median(errors) < 0.2
    assert errors.max() < 1.2
    np.testing.assert_array_equal(found[~hidden], times[~hidden])


def test_carrying_on_by_hand():
    """Two requests were measured up to 200 tokens, one up to 400; the top k is 100."""
    contexts, batches = np.array([100.0, 200.0, 400.0]), np.array([1.0, 2.0, 4.0])
    measured = np.array([[10.0, 12.0, 16.0], [11.0, 14.0, np.nan], [13.0, np.nan, np.nan]])
    found = carried_on(measured, contexts, batches, 100)
    # up to the first context beyond the top k: grown by 2 over two requests, so by 4 over four
    assert found[1].tolist() == [11.0, 14.0, 20.0]
    # beyond it: 0.01 per request and token
    assert found[2].tolist() == [13.0, pytest.approx(18.0), pytest.approx(28.0)]


# ---- prompts


@settings(max_examples=50)
@given(
    st.sampled_from(GPUS),
    st.sampled_from(ENGINES),
    st.sampled_from([8, 64]),
    st.integers(64, 60000),
    st.floats(1.2, 8),
)
def test_longer_prompts_take_longer(gpu, engine, heads, tokens, factor):
    tables = KernelTables.load(load_gpu(gpu), engine)
    less, more = (
        tables.sparse_prefill_attention(0, n, shape(heads)).seconds
        for n in (tokens, factor * tokens)
    )
    assert less < 1.15 * more


@pytest.mark.parametrize("gpu", GPUS)
def test_long_prompts_come_back_and_short_ones_do_not_wait_for_the_host(gpu):
    tables, rows = KernelTables.load(load_gpu(gpu)), read_table(gpu, "vllm", "sparse_prefill")
    keep = (rows["architecture"] == "GlmMoeDsaForCausalLM") & (rows["dtype"] == "bfloat16")
    keep &= rows["heads"] == 64
    order = np.argsort(rows["tokens"][keep])
    tokens, seconds = (rows[name][keep][order].astype(float) for name in ("tokens", "seconds"))
    floor = np.median(seconds[:5])
    for n, whole in zip(tokens.tolist(), seconds.tolist(), strict=True):
        timing = tables.sparse_prefill_attention(0, n, shape(64))
        rest = whole - products_s(tables, GLM_5, 64, n) - SMALL_KERNELS_S
        assert timing.kind == "fitted"
        if n >= 8192:
            assert timing.seconds == pytest.approx(rest, rel=1e-5)
        if n <= 128:
            assert whole < PLATEAU * floor
            assert timing.seconds < 0.2 * rest


def test_chunks_of_a_prompt_add_up():
    whole = H100.sparse_prefill_attention(0, 16384, shape(64)).seconds
    starts = range(0, 16384, 4096)
    parts = [H100.sparse_prefill_attention(s, s + 4096, shape(64)).seconds for s in starts]
    assert sum(parts) == pytest.approx(whole, rel=0.05)
    assert H100.sparse_prefill_attention(100000, 104096, shape(64)).kind == "assumed"


# ---- without rows


@pytest.mark.parametrize("gpu", ["a100_sxm", "l40s", "rtx_pro_6000_server"])
def test_gpus_without_rows_are_answered_by_the_roofline(gpu):
    tables = KernelTables.load(load_gpu(gpu))
    for timing in (
        tables.sparse_decode_attention(16, 8000, 4, shape(8)),
        tables.sparse_prefill_attention(0, 8000, shape(8)),
    ):
        assert timing.kind == "assumed"
        assert 2e-5 < timing.seconds < 2e-2
    with pytest.raises(TableError, match="measured: none"):
        tables.sparse_decode_module(16, 8000, 1, shape(8))


def test_a_module_that_was_not_measured_is_assumed_and_refused_whole():
    odd = replace(GLM_5.shape, value_dim=64)
    assert H100.sparse_decode_attention(16, 8000, 1, odd).kind == "assumed"
    with pytest.raises(TableError, match=r"values 64 wide .*DeepseekV32ForCausalLM, Glm"):
        H100.sparse_decode_module(16, 8000, 1, odd)
    # SGLang measured DeepSeek-V3.2 with fp8 products alone
    assert SGLANG.sparse_decode_attention(16, 8000, 1, shape(16, DEEPSEEK)).kind == "assumed"


@pytest.mark.parametrize("gpu", GPUS)
def test_the_roofline_is_of_the_measured_order(gpu):
    tables = KernelTables.load(load_gpu(gpu))
    assumed = SparseDecode(tables.gpu, None, lambda m, n, k: None, 2.0)
    for batch, context in ((128, 4096), (256, 16384)):
        ratio = (
            assumed.at(batch, context, 1, shape(64)).seconds
            / tables.sparse_decode_attention(batch, context, 1, shape(64)).seconds
        )
        assert 1 / 2 < ratio < 2


def test_bytes_and_flops_by_hand():
    """One query of GLM-5 with one head over 4 Ki tokens, of which it attends to 2 Ki."""
    size, flops = decode_work(1, 4096, 1, shape(1), 2.0)
    absorbed = 512 * (192 + 256)
    assert size == 4096 * 128 + 2 * 2048 * 576 + 2 * absorbed
    assert flops == 2 * (absorbed + 4096 * 32 * 128 + 2048 * (2 * 512 + 64))
    _, twice = decode_work(1, 4096, 2, shape(1), 2.0)
    assert twice == 2 * flops
    size, flops = prefill_work(0, 2, shape(1))
    assert flops == 2 * (2 * absorbed + 2 * 32 * 128 + 2 * (2 * 512 + 64))
    assert size == 2 * 128 + 2 * 2 * (192 + 256)
