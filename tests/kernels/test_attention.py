import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.gpu import load_gpu
from simulator.kernels.attention import chunk
from simulator.kernels.schema import read_table
from simulator.kernels.tables import KernelTables
from simulator.kernels.timing import Timing

A100 = KernelTables.load(load_gpu("a100_sxm"))
H100 = KernelTables.load(load_gpu("h100_sxm"))


def sample(gpu, operator, count):
    rows = read_table(gpu, "vllm", operator)
    picks = np.random.default_rng(1).choice(len(rows["seconds"]), count, replace=False)
    return [{name: column[i].item() for name, column in rows.items()} for i in picks]


@pytest.mark.parametrize("tables", [A100, H100], ids=lambda t: t.gpu.name)
def test_decode_rows_come_back(tables):
    for row in sample(tables.gpu.name, "decode_attention", 200):
        timing = tables.decode_attention(
            row["batch"],
            row["context"],
            1,
            row["heads"],
            row["kv_heads"],
            row["head_dim"],
            row["window"],
            row["dtype"],
        )
        assert timing.seconds == pytest.approx(row["seconds"], rel=1e-6)
        assert timing.kind == "measured"


@pytest.mark.parametrize("tables", [A100, H100], ids=lambda t: t.gpu.name)
def test_prefill_rows_come_back(tables):
    for row in sample(tables.gpu.name, "prefill_attention", 200):
        shape = (row["heads"], row["kv_heads"], row["head_dim"], row["window"])
        timing = tables.prefill_attention(0, row["tokens"], *shape, row["dtype"])
        assert timing.seconds == pytest.approx(row["seconds"], rel=1e-6)
        assert timing.kind == "measured"


@given(
    st.floats(1, 200),
    st.floats(16, 30000),
    st.integers(2, 9),
    st.sampled_from([(14, 2), (32, 4), (28, 28), (64, 8)]),
)
def test_verifying_costs_at_least_a_decode_and_less_than_as_many_decodes(
    batch, context, queries, heads
):
    one = A100.decode_attention(batch, context, 1, *heads, 128).seconds
    many = A100.decode_attention(batch, context, queries, *heads, 128).seconds
    assert one * (1 - 1e-12) <= many < queries * one


@pytest.mark.parametrize("tables", [A100, H100], ids=lambda t: t.gpu.name)
def test_verifying_reads_the_cache_once(tables):
    # 64 requests of 16k tokens, 2 KV heads: 1 GB of cache, far above any on-chip memory.
    one = tables.decode_attention(64, 16384, 1, 14, 2, 128).seconds
    five = tables.decode_attention(64, 16384, 5, 14, 2, 128).seconds
    assert five < 1.2 * one
    assert one > 4 * 64 * 16384 * 2 * 128 / tables.gpu.memory_bandwidth


@given(st.floats(1, 4096), st.floats(2, 200000), st.floats(1, 8), st.integers(1, 9))
def test_decode_times_are_finite_and_grow_once_the_cache_is_large(batch, context, factor, queries):
    low = A100.decode_attention(batch, context, queries, 14, 2, 128)
    high = A100.decode_attention(batch, 8 * factor * context, queries, 14, 2, 128)
    assert 5e-6 < low.seconds < high.seconds * 1.05 < np.inf


def test_more_query_heads_than_measured_cost_the_fitted_time_of_each():
    within = A100.decode_attention(8, 1024, 4, 16, 2, 128)
    beyond = A100.decode_attention(8, 1024, 8, 16, 2, 128)
    assert within.kind == "measured"
    assert beyond.kind == "fitted"
    assert 0 < beyond.seconds - within.seconds < 5e-6  # 512 further heads at nanoseconds each


def test_kv_heads_beyond_the_measured_count_as_requests():
    many = A100.decode_attention(16, 1024, 1, 32, 32, 128)
    as_requests = A100.decode_attention(64, 1024, 1, 8, 8, 128)
    assert many.seconds == pytest.approx(as_requests.seconds)
    assert (many.kind, as_requests.kind) == ("fitted", "measured")


def test_a_head_width_without_rows_is_fitted():
    timing = A100.decode_attention(4, 1024, 1, 14, 2, 64)
    assert timing.kind == "fitted"
    assert timing.seconds < A100.decode_attention(4, 100000, 1, 14, 2, 64).seconds
    assert A100.prefill_attention(0, 1024, 14, 2, 64).kind == "fitted"


def test_a_measured_window_bounds_the_cache_that_is_read():
    full = H100.decode_attention(64, 16384, 1, 32, 8, 64).seconds
    window = H100.decode_attention(64, 16384, 1, 32, 8, 64, 128)
    assert window.kind == "measured"
    assert window.seconds < full / 5


def test_an_unmeasured_window_reads_at_most_its_own_length():
    window = A100.decode_attention(64, 16384, 1, 32, 8, 128, 4096).seconds
    assert window == pytest.approx(A100.decode_attention(64, 4096, 1, 32, 8, 128).seconds)
    below = A100.decode_attention(64, 512, 1, 32, 8, 128, 4096).seconds
    assert below == pytest.approx(A100.decode_attention(64, 512, 1, 32, 8, 128).seconds)
    fitted = A100.decode_attention(64, 16384, 1, 32, 8, 64, 128).seconds  # neither width nor window
    assert fitted < A100.decode_attention(64, 16384, 1, 32, 8, 64).seconds / 5


def test_an_unmeasured_window_scales_prefill_by_the_pairs_left():
    full = A100.prefill_attention(0, 8192, 32, 8, 128)
    window = A100.prefill_attention(0, 8192, 32, 8, 128, 2048)
    pairs = (2048 * 8192 - 2048**2 / 2) / (8192**2 / 2)
    assert window.seconds == pytest.approx(full.seconds * pairs)
    assert window.kind == "fitted"
    within = A100.prefill_attention(0, 1024, 32, 8, 128, 2048).seconds
    assert within == pytest.approx(A100.prefill_attention(0, 1024, 32, 8, 128).seconds)


def test_the_nearest_kv_heads_serve_prefill():
    near = A100.prefill_attention(0, 2048, 12, 3, 128)
    assert near.kind == "fitted"
    low, high = (A100.prefill_attention(0, 2048, 12, kv, 128).seconds for kv in (2, 4))
    assert near.seconds in (pytest.approx(low), pytest.approx(high))


def test_multi_head_prefill_is_measured_between_head_counts():
    assert A100.prefill_attention(0, 1000, 28, 28, 128).kind == "measured"


def test_chunks_cost_their_share_of_the_whole_prompt():
    whole = A100.prefill_attention(0, 8192, 32, 8, 128).seconds
    parts = [A100.prefill_attention(s, s + 2048, 32, 8, 128).seconds for s in range(0, 8192, 2048)]
    assert parts == sorted(parts)
    assert sum(parts) == pytest.approx(whole, rel=0.05)


@given(st.floats(0, 30000), st.floats(1, 4096))
def test_a_chunk_costs_at_least_a_fresh_one_of_its_length(start, length):
    fresh = A100.prefill_attention(0, length, 14, 2, 128).seconds
    assert A100.prefill_attention(start, start + length, 14, 2, 128).seconds >= fresh * (1 - 1e-9)


def test_the_whole_time_of_a_chunk_is_a_difference():
    def whole(tokens):
        return Timing(tokens**2, "measured")

    assert chunk(whole, 0, 3).seconds == 9
    assert chunk(whole, 2, 3).seconds == 5
    assert chunk(lambda t: Timing(1 + t, "fitted"), 2, 3) == (2, "fitted")


def test_long_prompts_grow_with_their_square_and_are_assumed():
    last = A100.prefill_attention(0, 16384, 32, 8, 128).seconds
    twice = A100.prefill_attention(0, 32768, 32, 8, 128)
    assert twice.seconds == pytest.approx(4 * last)
    assert twice.kind == "assumed"
