"""Times made monotone: what changes, and what must not."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.kernels.monotone import monotone_seconds
from simulator.kernels.schema import MONOTONE, OPERATORS

GEMM = OPERATORS["gemm"]
times = st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=12)


def rows(seconds, n=64):
    count = len(seconds)
    text = {name: np.full(count, "x") for name in GEMM.text}
    keys = {"n": np.full(count, n), "k": np.full(count, 64), "m": np.arange(1, count + 1)}
    return text | keys | {"seconds": np.asarray(seconds, float)}


@given(times)
def test_the_result_never_falls_and_keeps_the_geometric_mean(seconds):
    found = monotone_seconds(GEMM, rows(seconds))
    assert (np.diff(found) >= -1e-12 * found[:-1]).all()
    assert np.log(found).mean() == pytest.approx(np.log(seconds).mean())


@given(times)
def test_monotone_times_stay_as_they_are(seconds):
    ordered = np.sort(seconds)
    np.testing.assert_allclose(monotone_seconds(GEMM, rows(ordered)), ordered, rtol=1e-12)


def test_a_dip_is_averaged_and_a_step_stays():
    found = monotone_seconds(GEMM, rows([1e-5, 1.2e-5, 1e-5, 3e-5, 3e-5]))
    assert found[0] == pytest.approx(1e-5)
    assert found[1] == found[2] == pytest.approx(np.sqrt(1.2) * 1e-5)
    assert found[3:] == pytest.approx([3e-5, 3e-5])


def test_groups_are_apart_and_rows_may_come_in_any_order():
    one, two = rows([3e-5, 1e-5], n=64), rows([1e-5, 2e-5], n=128)
    joined = {name: np.concatenate([one[name], two[name]]) for name in one}
    shuffle = np.array([3, 0, 2, 1])
    found = monotone_seconds(GEMM, {name: column[shuffle] for name, column in joined.items()})
    assert found == pytest.approx([2e-5, np.sqrt(3) * 1e-5, 1e-5, np.sqrt(3) * 1e-5])


@pytest.mark.parametrize("gpu", ["a100_sxm", "h100_sxm", "b200_sxm"])
def test_shipped_products_are_corrected_by_little(gpu):
    """Half of the rows move by at most 1.2 %, 90 % by at most 9 %."""
    from importlib.resources import files

    path = files("simulator.hardware_specs.kernel_tables").joinpath(f"{gpu}/vllm/gemm.parquet")
    table = pq.read_table(str(path), columns=["seconds", MONOTONE])
    moved = np.abs(table[MONOTONE].to_numpy() / table["seconds"].to_numpy() - 1)
    assert np.median(moved) < 0.012
    assert np.quantile(moved, 0.9) < 0.09
