"""The list of measured dips: on made-up rows, and on the shipped tables."""

import numpy as np
import pytest
from helpers.grown_steps import rows_without_dips

from simulator.errors import TableError
from simulator.kernels.schema import MONOTONE
from simulator.study.tables import monotone
from simulator.study.tables.monotone import Dip, summarise_dips, table_dips


@pytest.fixture
def all_reduce(monkeypatch):
    """Ship one made-up all-reduce table, of two GPU counts."""

    def ship(seconds):
        rows = {
            "dtype": np.full(8, "bfloat16"),
            "gpus": np.repeat([2, 4], 4),
            "message": np.tile([64, 128, 256, 512], 2),
            "seconds": np.array(seconds, dtype=np.float32),
        }
        shuffled = np.random.default_rng(0).permutation(8)
        table = {name: column[shuffled] for name, column in rows.items()}
        monkeypatch.setattr(monotone, "read_table", lambda *_: table)

    return ship


def test_a_dip_names_the_longest_time_before_it(all_reduce):
    all_reduce([1, 4, 2, 3, 5, 6, 7, 8])
    first, second = table_dips("h100_sxm", "vllm", "all_reduce")
    assert first == Dip(
        gpu="h100_sxm",
        engine="vllm",
        operator="all_reduce",
        dtype="bfloat16",
        shape="gpus=2",
        axis="message",
        start=128,
        end=256,
        drop=pytest.approx(0.5),
        measured=True,
    )
    assert (second.start, second.end, second.drop) == (128, 512, pytest.approx(0.25))


def test_rows_are_counted_by_depth(all_reduce):
    all_reduce([100, 98, 90, 101, 1, 1, 1, 1])
    (summary,) = summarise_dips("h100_sxm", "vllm", "all_reduce")
    assert (summary.axis, summary.rows) == ("message", 8)
    assert (summary.above_small, summary.above_large) == (2 / 8, 1 / 8)
    assert summary.largest == pytest.approx(0.1)


def test_rising_times_have_no_dip(all_reduce):
    all_reduce([1, 2, 2, 3, 1, 1, 5, 6])
    assert table_dips("h100_sxm", "vllm", "all_reduce", least=1e-9) == []


def test_decoding_grows_along_heads_context_and_batch():
    axes = [summary.axis for summary in summarise_dips("a100_sxm", "vllm", "decode_attention")]
    assert axes == ["heads", "context", "batch"]


def test_dense_products_dip_only_where_rows_were_filled():
    dips = table_dips("l40s", "vllm", "gemm", least=1e-9)
    assert not any(dip.measured for dip in dips)


def test_what_was_not_measured_has_no_dips_and_unknown_gpus_are_refused():
    assert table_dips("a100_sxm", "trtllm", "gemm") == []
    assert summarise_dips("a100_sxm", "trtllm", "gemm") == []
    with pytest.raises(TableError, match="Did you mean 'a100_sxm'"):
        table_dips("a100", "vllm", "gemm")


@pytest.mark.parametrize("operator", ["decode_attention", "prefill_attention", "experts"])
def test_a_table_whose_dips_are_filled_has_none_left(operator, monkeypatch):
    before = summarise_dips("a100_sxm", "vllm", operator)
    assert all(summary.largest > 0.05 for summary in before)
    monkeypatch.setattr(monotone, "read_table", rows_without_dips)
    after = summarise_dips("a100_sxm", "vllm", operator)
    assert [summary.largest for summary in after] == [0.0] * len(before)


def test_dense_products_are_left_as_they_are_shipped():
    rows = rows_without_dips("a100_sxm", "vllm", "gemm")
    assert MONOTONE in rows
