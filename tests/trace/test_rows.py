"""Rows packed as C structs: every value comes back, and what does not fit is named."""

import re

import numpy as np
import pyarrow as pa
import pytest

from simulator.errors import InvariantError
from simulator.trace.rows import RowFormat
from simulator.trace.schema import ITERATIONS, OUTCOMES, REQUESTS, row_columns

TABLE = pa.schema(
    [
        pa.field("replica", pa.int16(), nullable=False),
        pa.field("first_token_s", pa.float64(), nullable=True),
        pa.field("kv_usage", pa.float32(), nullable=False),
    ]
)


def columns(rows):
    return [column.to_pylist() for column in RowFormat(TABLE).columns(rows)]


def test_values_come_back_with_their_types():
    made = RowFormat(TABLE).columns([(1, 2.5, 0.25), (-7, 3.0, 1.0)])
    assert [column.type for column in made] == list(TABLE.types)
    assert [column.to_pylist() for column in made] == [[1, -7], [2.5, 3.0], [0.25, 1.0]]


def test_what_did_not_happen_is_null_only_where_that_may_be():
    nan = float("nan")
    _, first_token_s, kv_usage = columns([(0, nan, nan)])
    assert first_token_s == [None]
    assert np.isnan(kv_usage[0])


def test_numpy_scalars_are_numbers_too():
    assert columns([(np.int64(3), np.float64(0.5), np.float32(0.5))]) == [[3], [0.5], [0.5]]


def test_columns_of_names_hold_an_index():
    at = row_columns(REQUESTS).index("outcome")
    row = tuple(4 if index == at else 0 for index in range(len(row_columns(REQUESTS))))
    assert RowFormat(REQUESTS).columns([row])[at].to_pylist() == [OUTCOMES[4]]


@pytest.mark.parametrize("schema", [REQUESTS, ITERATIONS], ids=["requests", "iterations"])
def test_a_record_has_no_padding(schema):
    """Else struct and numpy would disagree about where a value lies."""
    width = len(row_columns(schema))
    rows = [tuple(range(width)), tuple(range(1, width + 1))]
    rows = [tuple(min(value, 4) for value in row) for row in rows]
    made = RowFormat(schema).columns(rows)
    names = row_columns(schema)
    for index, (name, column) in enumerate(zip(names, made, strict=True)):
        expected = [row[index] for row in rows]
        found = column.indices if name == "outcome" else column
        assert found.to_pylist() == expected


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(0, 1.0, 0.5), (0, 1.0)], "different lengths"),
        ([(0, 1.0), (0, 1.0)], "has 2 values for the columns replica, first_token_s, kv_usage"),
        ([(0, 1.0, 0.5), (2**15, 1.0, 0.5)], "column replica (int16): 32768"),
        ([(1.5, 1.0, 0.5)], "column replica (int16): 1.5"),
        ([(0, "soon", 0.5)], "column first_token_s (double): 'soon'"),
        ([(0, None, 0.5)], "column first_token_s (double): None"),
        ([(0, 1.0, 1e300)], "column kv_usage (float): 1e+300"),
    ],
)
def test_what_does_not_fit_is_named(rows, complaint):
    with pytest.raises(InvariantError, match=re.escape(complaint)):
        columns(rows)
