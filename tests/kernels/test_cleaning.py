"""The cleaning rules, one trap at a time, on rows made for it."""

import numpy as np
import pytest

from simulator.kernels import cleaning
from simulator.kernels.schema import OPERATORS

PEAK = 2.039e12  # A100, bytes/s
EXPERT = 3 * 4096 * 14336 * 2  # Mixtral, bytes


def test_times_must_be_finite_and_positive(rows_of, a100):
    rows = rows_of(n=8, k=8, m=[1, 2, 3, 4], seconds=[1e-6, 0.0, np.nan, -1.0])
    np.testing.assert_array_equal(cleaning.not_positive(rows, a100), [True, False, False, False])


@pytest.mark.parametrize(
    ("backend", "version", "hidden", "kept"),
    [
        ("vllm", "0.24.0", 7168, False),
        ("sglang", "0.5.14", 7168, False),
        ("vllm", "0.19.0", 7168, True),
        ("sglang", "0.5.10", 7168, True),
        ("vllm", "0.24.0", 6144, True),
    ],
)
def test_half_activated_shape_is_dropped_from_the_versions_that_have_it(
    experts_of, a100, backend, version, hidden, kept
):
    rows = experts_of(
        experts=256,
        top_k=8,
        hidden=hidden,
        inter=2048,
        tokens=[1, 2],
        seconds=1e-4,
        backend=backend,
        version=version,
    )
    np.testing.assert_array_equal(cleaning.half_activated(rows, a100), [kept, kept])


def test_touched_bytes_count_balanced_experts_once(experts_of):
    rows = experts_of(tokens=[1, 2, 4, 64], seconds=1e-3)
    np.testing.assert_allclose(cleaning.touched_bytes(rows), np.array([2, 4, 8, 8]) * EXPERT)
    rows = experts_of(tokens=[4], seconds=1e-3, tensor_parallel=8, expert_parallel=4, matrices=2)
    np.testing.assert_allclose(cleaning.touched_bytes(rows), [2 * EXPERT / 8 * 2 / 3])


def test_rows_that_fit_the_cache_are_dropped(experts_of, a100):
    # At TP 8 one expert is 44 MB; the A100 caches 40 MiB, and 1.5 times that is 63 MB.
    rows = experts_of(tokens=[1, 2], top_k=1, tensor_parallel=8, seconds=1e-4)
    np.testing.assert_array_equal(cleaning.cache_hot(rows, a100), [False, True])


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.2, False), (0.36, True), (0.85, True), (1.0, True), (1.4, False)]
)
def test_curves_off_the_plateau_band_are_dropped_whole(experts_of, a100, fraction, kept):
    at_peak = 8 * EXPERT / PEAK
    rows = experts_of(tokens=[1, 4, 8, 16, 1024], seconds=at_peak / fraction)
    assert cleaning.off_plateau(rows, a100).tolist() == [kept] * 5


def test_small_shards_are_allowed_their_launches(experts_of, a100):
    at_peak = 8 * EXPERT / 32 / PEAK  # 43 us
    slow = experts_of(tokens=[4, 8], tensor_parallel=32, seconds=at_peak / 0.3)
    broken = experts_of(tokens=[4, 8], tensor_parallel=32, seconds=at_peak / 0.2)
    assert cleaning.off_plateau(slow, a100).all()
    assert not cleaning.off_plateau(broken, a100).any()


def test_only_the_offending_curve_goes(experts_of, a100):
    good = 8 * EXPERT / PEAK / 0.85
    rows = experts_of(
        tokens=[4, 8, 4, 8],
        tensor_parallel=[1, 1, 2, 2],
        seconds=[good, good, good / 20, good / 20],
    )
    np.testing.assert_array_equal(cleaning.off_plateau(rows, a100), [True, True, False, False])


def test_the_faster_kernel_of_a_curve_stays(experts_of, a100):
    rows = experts_of(
        tokens=[1, 2, 4, 2, 4],
        kernel_source=["triton"] * 3 + ["cutlass"] * 2,
        seconds=[1e-6, 3e-3, 3e-3, 2e-3, 2e-3],
    )  # judged on the tokens both have: the triton row at one token does not count
    np.testing.assert_array_equal(
        cleaning.slower_kernel(rows, a100), [False, False, False, True, True]
    )


def test_two_kernels_without_common_tokens_are_judged_on_all_of_theirs(experts_of, a100):
    rows = experts_of(tokens=[1, 2], kernel_source=["a", "b"], seconds=[1e-3, 2e-3])
    np.testing.assert_array_equal(cleaning.slower_kernel(rows, a100), [True, False])


def test_a_shape_is_taken_from_its_preferred_source_only(experts_of, a100):
    rows = experts_of(tokens=[1, 1, 1], experts=[8, 8, 16], rank=[0, 1, 1], seconds=1e-3)
    np.testing.assert_array_equal(cleaning.covered(rows, a100), [True, False, True])


def test_a_head_width_is_taken_from_its_preferred_kernel_only(rows_of, a100):
    rows = rows_of(
        head_dim=[64, 64, 128, 64],
        window=[0, 0, 0, 128],
        heads=[8, 16, 8, 8],
        rank=[0, 1, 1, 1],
        seconds=1e-5,
    )
    np.testing.assert_array_equal(cleaning.covered(rows, a100), [True, False, True, True])


def test_thinning_keeps_few_tokens_powers_of_two_and_what_lies_between(rows_of):
    tokens = [1, 15, 16, 17, 32, 33, 48, 80, 96, 112, 1024, 1536, 1792, 32768]
    rows = rows_of(m=tokens, n=32, k=64, seconds=1.0)
    kept = rows["m"][cleaning.thinned(rows)].tolist()
    assert kept == [1, 15, 16, 32, 48, 96, 1024, 1536, 32768]
    edges = rows_of(m=1, n=[16, 32, 64, 64, 64], k=[64, 64, 32, 51200, 65536], seconds=1.0)
    assert cleaning.thinned(edges).tolist() == [False, True, False, True, False]


def test_repeated_measurements_become_their_median(rows_of):
    rows = rows_of(n=8, k=8, m=[1, 2, 1, 1], seconds=[5.0, 7.0, 1.0, 3.0])
    merged = cleaning.merge_duplicates(rows, OPERATORS["gemm"])
    assert dict(zip(merged["m"].tolist(), merged["seconds"].tolist(), strict=True)) == {
        1: 3.0,
        2: 7.0,
    }
    assert cleaning.merge_duplicates(merged, OPERATORS["gemm"]) is merged


@pytest.mark.parametrize(
    ("n", "seconds", "kept"),
    [
        (8192, 8192 * 8192 * 2 / PEAK / 0.8, True),
        (8192, 8192 * 8192 * 2 / PEAK / 1.2, False),
        (512, 512 * 8192 * 2 / PEAK / 1.2, True),  # fits the cache: no memory bound to break
    ],
)
def test_products_above_peak_bandwidth_are_dropped(rows_of, a100, n, seconds, kept):
    rows = rows_of(n=n, k=8192, m=[1], seconds=[seconds])
    assert cleaning.gemm_faster_than_peak(rows, a100).tolist() == [kept]


def test_products_above_peak_flops_are_dropped(rows_of, a100):
    flops = 2.0 * 4096**3
    rows = rows_of(n=4096, k=4096, m=4096, seconds=[flops / 312e12 / 0.9, flops / 312e12 / 1.2])
    np.testing.assert_array_equal(cleaning.gemm_faster_than_peak(rows, a100), [True, False])


def test_decodes_above_peak_bandwidth_are_dropped_within_their_window(rows_of, a100):
    size = 4 * 64 * 8192 * 8 * 128
    columns = {"head_dim": 128, "kv_heads": 8, "heads": 32, "context": 8192, "batch": 64}
    fast = rows_of(**columns, window=[0, 128], seconds=size / PEAK / 1.2)
    np.testing.assert_array_equal(cleaning.decode_faster_than_peak(fast, a100), [False, True])
    latent = rows_of(heads=1, context=8192, batch=64, seconds=[1e-3, 1e-5])
    np.testing.assert_array_equal(cleaning.latent_faster_than_peak(latent, a100), [True, False])


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        ([1, 1, 20, 1, 1], [True, True, False, True, True]),  # isolated
        ([1, 1, 2, 2, 2], [True] * 5),  # a step stays
        ([1, 1.4, 1, 1.4, 1], [True] * 5),  # noise below the threshold
        ([9, 1, 1, 1, 1], [False, True, True, True, True]),  # the first row
        ([1, 1, 1, 1, 9], [True] * 5),  # the last row has no successor to judge by
    ],
)
def test_isolated_spikes_are_dropped(rows_of, seconds, kept):
    rows = rows_of(n=8, k=8, m=[1, 2, 3, 4, 5], seconds=seconds)
    assert cleaning.isolated_spike(rows, OPERATORS["gemm"]).tolist() == kept


def test_a_spike_is_judged_within_its_own_curve(rows_of):
    rows = rows_of(n=[8, 8, 16, 16, 24], k=8, m=[1, 2, 1, 2, 1], seconds=[1, 1, 9, 9, 1])
    assert cleaning.isolated_spike(rows, OPERATORS["gemm"]).all()


def test_clean_sorts_counts_and_forgets_the_rank(rows_of, a100):
    rows = rows_of(
        n=8,
        k=8,
        m=[3, 2, 1, 1, 5, 4],
        rank=0,
        seconds=[9e-6, 1e-6, 1e-6, 3e-6, 0.0, 1e-6],
    )
    kept, dropped = cleaning.clean("gemm", rows, a100)
    assert kept["m"].tolist() == [1, 2, 4]
    assert dropped == {"not_positive": 1, "duplicate": 1, "isolated_spike": 1}
    assert "rank" not in kept


def test_clean_applies_the_expert_rules_in_order(experts_of, a100):
    plateau = 8 * EXPERT / PEAK / 0.85
    rows = experts_of(
        experts=[8, 8, 8, 8, 8, 256],
        top_k=[2] * 5 + [8],
        hidden=[4096] * 5 + [7168],
        inter=[14336] * 5 + [2048],
        tokens=[4, 8, 4, 8, 1, 4],
        tensor_parallel=[1, 1, 1, 1, 32, 1],
        rank=[0, 0, 1, 1, 0, 0],
        backend=["sglang"] * 2 + ["vllm"] * 4,
        version="0.24.0",
        seconds=plateau,
    )
    kept, dropped = cleaning.clean("experts", rows, a100)
    assert kept["backend"].tolist() == ["sglang", "sglang"]
    assert dropped == {"half_activated": 1, "cache_hot": 1, "covered": 2}
