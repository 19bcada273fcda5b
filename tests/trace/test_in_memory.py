"""Rows kept in memory, and rows that nobody reads."""

from __future__ import annotations

import numpy as np

from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.schema import REQUESTS, row_columns

NAMES = row_columns(REQUESTS)


def test_rows_come_back_as_columns_in_their_order() -> None:
    kept = KeptRows(REQUESTS)
    for first in (10, 20):
        kept.rows.append(tuple(range(first, first + len(NAMES))))
        kept.flush()
    found = kept.columns()
    assert list(found) == NAMES
    assert found[NAMES[2]].tolist() == [12.0, 22.0]


def test_what_a_row_lacks_is_nan() -> None:
    kept = KeptRows(REQUESTS)
    kept.rows.append((None,) * len(NAMES))
    assert all(np.isnan(column).all() for column in kept.columns().values())


def test_no_rows_are_empty_columns() -> None:
    assert all(column.shape == (0,) for column in KeptRows(REQUESTS).columns().values())


def test_rows_that_nobody_reads_take_no_memory() -> None:
    dropped = DroppedRows()
    rows = dropped.rows
    rows.append((1,))
    dropped.flush()
    assert rows == []
    assert dropped.rows is rows
