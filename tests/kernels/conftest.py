"""Synthetic databases and rows for the tests of the kernel tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.hardware.gpu import Gpu, load_gpu
from simulator.kernels.schema import Rows


def make_rows(**columns: Any) -> Rows:
    """Return rows; scalars are repeated to the length of the longest column."""
    count = max(np.size(column) for column in columns.values())
    rows = {name: np.resize(np.array(column), count) for name, column in columns.items()}
    for name in ("backend", "version", "kernel_source", "dtype"):
        rows.setdefault(name, np.full(count, {"dtype": "bfloat16"}.get(name, name)))
    rows["seconds"] = rows["seconds"].astype(float)
    return rows


def make_experts(**columns: Any) -> Rows:
    """Return expert rows of one shape: Mixtral's, unless columns say otherwise."""
    shape = {"experts": 8, "top_k": 2, "hidden": 4096, "inter": 14336, "matrices": 3}
    shape |= {"tensor_parallel": 1, "expert_parallel": 1, "rank": 0}
    return make_rows(**(shape | columns))


def write_source(path: Path, **columns: Any) -> None:
    """Write a file of the source database; scalars are repeated."""
    count = max(np.size(column) for column in columns.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {name: np.resize(np.array(column), count) for name, column in columns.items()}
    pq.write_table(pa.table({k: pa.array(v.tolist()) for k, v in table.items()}), path)


@pytest.fixture
def a100() -> Gpu:
    return load_gpu("a100_sxm")


@pytest.fixture
def rows_of():
    return make_rows


@pytest.fixture
def experts_of():
    return make_experts


@pytest.fixture
def source_file():
    return write_source
