"""Linear attention: rows come back, states move below the peak, and what the laws say beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.gpu import load_gpu
from simulator.kernels.linear_attention import (
    LinearAttention,
    LinearShape,
    decode_bytes,
    prefill_bytes,
)
from simulator.kernels.roofline import load_roofline
from simulator.kernels.schema import read_table
from simulator.kernels.tables import KernelTables

MEASURED = (
    *("b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm"),
    *("l40s", "rtx_pro_6000_server"),
)
SETS = [(gpu, "vllm") for gpu in MEASURED]
SETS += [(gpu, "sglang") for gpu in MEASURED if gpu != "h200_sxm"]
QWEN3_NEXT = LinearShape(16, 32)
H100 = KernelTables.load(load_gpu("h100_sxm"))
A100 = KernelTables.load(load_gpu("a100_sxm"))


def one(rows, i, names):
    return [float(rows[name][i]) for name in names]


@pytest.mark.parametrize(("gpu", "engine"), SETS)
def test_rows_come_back(gpu, engine):
    tables = KernelTables.load(load_gpu(gpu), engine)
    rows = read_table(gpu, engine, "linear_decode")
    keys = ("key_heads", "value_heads", "batch")
    both = {tuple(one(rows, i, keys)): 0.0 for i in range(len(rows["seconds"]))}
    for i, seconds in enumerate(rows["seconds"].tolist()):
        both[tuple(one(rows, i, keys))] += seconds
    whole = {key for key in both if key != (16.0, 64.0, 1024.0)}  # whose rule was not measured
    for key_heads, value_heads, batch in whole:
        timing = tables.linear_decode_attention(
            batch, 1, LinearShape(int(key_heads), int(value_heads))
        )
        expected = both[key_heads, value_heads, batch]
        assert timing == (pytest.approx(expected, rel=1e-6), "measured")


@pytest.mark.parametrize("gpu", ["b200_sxm", "h200_sxm", "l40s"])
def test_prefill_rows_come_back(gpu):
    tables, rows = KernelTables.load(load_gpu(gpu)), read_table(gpu, "vllm", "linear_prefill")
    keep = (rows["key_heads"] == 16) & (rows["value_heads"] == 32)
    parts = {}
    for i in np.flatnonzero(keep):
        parts.setdefault(tuple(one(rows, i, ("tokens", "batch"))), []).append(rows["seconds"][i])
    for (tokens, batch), seconds in parts.items():
        if len(seconds) == 2:
            timing = tables.linear_prefill_attention(tokens, QWEN3_NEXT, batch)
            assert timing == (pytest.approx(sum(seconds), rel=1e-6), "measured")


@pytest.mark.parametrize(("gpu", "engine"), SETS)
def test_states_move_at_most_at_peak_bandwidth_and_large_ones_near_it(gpu, engine):
    """That fits a float32 state, read and written once; half of it would be below 0.45."""
    spec, rows = load_gpu(gpu), read_table(gpu, engine, "linear_decode")
    rule = rows["part"] == "rule"
    states = 2 * 4 * 128 * 128 * rows["value_heads"][rule] * rows["batch"][rule].astype(float)
    share = states / rows["seconds"][rule] / spec.memory_bandwidth
    beyond_cache = states / 2 > 1.5 * spec.l2_bytes
    assert share[beyond_cache].max() < 1.0
    assert 0.7 < np.median(share[states / 2 > 4 * spec.l2_bytes]) < 0.95


def test_decoding_costs_by_requests_times_heads():
    """What the law for heads that were not measured rests on."""
    pairs = [(LinearShape(16, 64), 16), (LinearShape(16, 32), 32), (LinearShape(4, 16), 64)]
    times = [H100.linear_decode_attention(batch, 1, shape).seconds for shape, batch in pairs]
    assert max(times) < 1.05 * min(times)


def test_heads_that_were_not_measured_are_served_by_more_requests_of_fewer():
    wide = H100.linear_decode_attention(32, 1, LinearShape(32, 128))
    near = H100.linear_decode_attention(64, 1, LinearShape(16, 64))
    assert wide == (pytest.approx(near.seconds, rel=1e-6), "fitted")
    narrow = H100.linear_decode_attention(64, 1, LinearShape(1, 1))
    assert narrow.kind == "fitted"
    assert narrow.seconds <= H100.linear_decode_attention(64, 1, LinearShape(1, 2)).seconds


KDA_VERIFY = {  # aiconfigurator-core 0.12.0, h100_sxm/kda/vllm/0.1.dev19262, kernel of 48 heads
    (16, 2): 55.5,
    (16, 8): 168.7,
    (64, 2): 212.4,
    (64, 4): 361.3,
    (256, 2): 846.0,
    (256, 4): 1436.5,
}
KDA_DECODE = {1: 3.3, 8: 12.7, 16: 36.4, 32: 70.5, 64: 138.1, 128: 273.1, 256: 542.6, 1024: 2161.4}


def test_verification_follows_the_law_of_measured_verification():
    """The state is read once and written once per token: decoding (1 + q) / 2 as many requests."""
    rows = {
        "part": np.repeat(["convolution", "rule"], len(KDA_DECODE)),
        "key_heads": np.full(2 * len(KDA_DECODE), 48),
        "value_heads": np.full(2 * len(KDA_DECODE), 48),
        "batch": np.tile(list(KDA_DECODE), 2),
        "seconds": np.r_[np.full(len(KDA_DECODE), 1e-12), np.array(list(KDA_DECODE.values()))],
    }
    kda = LinearAttention(H100.gpu, rows, None)
    for (batch, queries), microseconds in KDA_VERIFY.items():
        timing = kda.decode(batch, queries, LinearShape(48, 48))
        assert timing == (pytest.approx(microseconds, rel=0.12), "fitted")


@given(st.floats(1, 1024), st.integers(1, 8), st.sampled_from([1, 2, 4, 8, 16]))
def test_more_tokens_to_verify_take_longer_but_less_than_decoding_them(batch, queries, split):
    shape = LinearShape(16 // split, 64 // split)
    one, many, more = (
        H100.linear_decode_attention(batch, q, shape).seconds for q in (1, queries, queries + 1)
    )
    assert one <= many * 1.001
    assert many <= 1.02 * more  # rows are not made monotone
    assert many <= 1.02 * queries * one


@given(
    st.sampled_from(MEASURED),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(1, 32768),
    st.floats(1, 8),
)
def test_longer_prompts_take_longer(gpu, split, tokens, factor):
    tables, shape = KernelTables.load(load_gpu(gpu)), LinearShape(16 // split, 64 // split)
    less, more = (tables.linear_prefill_attention(n, shape) for n in (tokens, tokens * factor))
    assert 0 < less.seconds < 1.1 * more.seconds


def test_prompts_side_by_side_fill_a_gpu_that_one_leaves_idle():
    few = LinearShape(2, 8)
    alone = H100.linear_prefill_attention(4096, few).seconds
    assert H100.linear_prefill_attention(4096, few, requests=4).seconds < 2 * alone


def test_a_gpu_without_rows_is_answered_by_the_roofline():
    shape, gpu = LinearShape(16, 32), A100.gpu
    timing = A100.linear_decode_attention(512, 1, shape)
    roofline = load_roofline("linear_decode")
    memory = decode_bytes(512, 1, shape) / (roofline.eta_bandwidth * gpu.memory_bandwidth)
    assert timing == (pytest.approx(roofline.t0_s + memory), "assumed")
    assert A100.linear_prefill_attention(4096, shape).kind == "assumed"


@pytest.mark.parametrize(("gpu", "engine"), [("h100_sxm", "trtllm"), ("h200_sxm", "sglang")])
def test_what_was_left_out_is_answered_by_vllms_rows(gpu, engine):
    own, vllm = (KernelTables.load(load_gpu(gpu), name) for name in (engine, "vllm"))
    question = 64, 1, QWEN3_NEXT
    assert own.linear_decode_attention(*question) == vllm.linear_decode_attention(*question)


def test_widths_that_were_not_measured_are_assumed():
    assert H100.linear_decode_attention(64, 1, LinearShape(16, 32, 64, 64)).kind == "assumed"
    assert H100.linear_prefill_attention(64, LinearShape(16, 32, 128, 256)).kind == "assumed"


@pytest.mark.parametrize(("gpu", "engine"), SETS)
def test_the_roofline_is_of_the_measured_order(gpu, engine):
    """Within a factor of 1.6 for large decodes, of 4 for prompts, where kernels differ most."""
    tables = KernelTables.load(load_gpu(gpu), engine)
    assumed = LinearAttention(tables.gpu, None, None)
    for shape in (QWEN3_NEXT, LinearShape(8, 32)):
        ratio = (
            assumed.decode(256, 1, shape).seconds
            / tables.linear_decode_attention(256, 1, shape).seconds
        )
        assert 1 / 1.6 < ratio < 1.6
        ratio = (
            assumed.prefill(8192, 1, shape).seconds
            / tables.linear_prefill_attention(8192, shape).seconds
        )
        assert 1 / 4 < ratio < 4


def test_the_constants_of_the_roofline_are_medians_of_the_tables():
    decode, prefill = [], []
    for gpu, engine in SETS:
        spec, rows = load_gpu(gpu), read_table(gpu, engine, "linear_decode")
        states = 8.0 * 128 * 128 * rows["value_heads"] * rows["batch"]
        keep = (rows["part"] == "rule") & (states / 2 > 1.5 * spec.l2_bytes)
        decode.append(np.median((states / rows["seconds"])[keep]) / spec.memory_bandwidth)
        rows = read_table(gpu, engine, "linear_prefill")
        keep = (rows["part"] == "rule") & (rows["value_heads"] >= 16)
        keep &= (rows["batch"] == 1) & (rows["tokens"] >= 4096)
        if "flashinfer" not in rows["kernel_source"][keep][0]:
            each = prefill_bytes(1, LinearShape(0, 1)) - 4 * 128  # without the convolution's
            moved = rows["tokens"][keep] * rows["value_heads"][keep] * float(each)
            prefill.append(np.median(moved / rows["seconds"][keep]) / spec.memory_bandwidth)
    # another GPU may move a median by some percent
    assert load_roofline("linear_decode").eta_bandwidth == pytest.approx(np.median(decode), rel=0.1)
    assert load_roofline("linear_prefill").eta_bandwidth == pytest.approx(
        np.median(prefill), rel=0.1
    )


def test_the_bytes_of_qwen3_next_by_hand():
    """32 heads of 128 x 128 float32 values; 2 x 16 x 128 + 32 x 128 channels."""
    assert QWEN3_NEXT.state_bytes == 2 * 2**20
    assert QWEN3_NEXT.channels == 8192
    assert decode_bytes(1, 1, QWEN3_NEXT) == 2 * 2 * 2**20 + 2 * 8192 * 2 * 4
    assert decode_bytes(3, 4, QWEN3_NEXT) == 3 * (5 * 2 * 2**20 + 2 * 8192 * 2 * 7)
    head = 2 * (4 * 128) + 2 * 2 * (3 * 128 + 256)  # per token: in and out; between the kernels
    assert prefill_bytes(10, QWEN3_NEXT) == 10 * (4 * 8192 + 32 * head)
