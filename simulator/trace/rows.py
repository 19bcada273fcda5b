"""Rows of a trace, packed into columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any

import numpy as np
import pyarrow as pa

from simulator.errors import InvariantError
from simulator.trace.schema import NAMES, row_columns

_CODES = {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}
"""Numpy's name of a number, and that of the module `struct` for the same bytes."""


class RowFormat:
    """How the tuples that an engine appends become columns of a table.

    Rows are packed one after another, as C structs, and read back as one array of records. That
    is half the work of turning them into columns first: a row is read while it is in the cache.
    A row of 12 takes 0.4 us, `numpy.fromiter` over transposed rows .8, `numpy.array` of records .6.

    Parameters
    ----------
    schema
        One of `simulator.trace.schema.TABLES`; columns of names are given by their index.
    names
        The names that the run has by column, beside those of `simulator.trace.schema.NAMES`.

    Examples
    --------
    >>> table = pa.schema([pa.field("replica", pa.int16()), pa.field("start_s", pa.float64())])
    >>> [column.to_pylist() for column in RowFormat(table).columns([(0, 1.5), (1, 2.5)])]
    [[0, 1], [1.5, 2.5]]
    """

    def __init__(self, schema: pa.Schema, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self._names: dict[str, Sequence[str]] = {**NAMES, **(names or {})}
        self._fields = [schema.field(name) for name in row_columns(schema)]
        dtypes = [np.dtype(_stored(field).to_pandas_dtype()) for field in self._fields]
        self._codes = [_CODES[dtype.str[1:]] for dtype in dtypes]
        self._struct = struct.Struct("=" + "".join(self._codes))
        self._records = np.dtype(
            [(field.name, dtype) for field, dtype in zip(self._fields, dtypes, strict=True)]
        )

    def columns(self, rows: Sequence[tuple[Any, ...]]) -> list[pa.Array]:
        """Return the columns of rows, in the order of the schema.

        Raises
        ------
        InvariantError
            If a row does not fit the schema.
        """
        try:
            packed = b"".join(starmap(self._struct.pack, rows))
        except (struct.error, OverflowError) as error:
            raise InvariantError(self._misfit(rows)) from error
        records = np.frombuffer(packed, self._records)
        return [self._array(np.ascontiguousarray(records[one.name]), one) for one in self._fields]

    def _array(self, numbers: np.ndarray[Any, Any], field: pa.Field) -> pa.Array:
        if pa.types.is_dictionary(field.type):
            indices = pa.array(numbers)
            return pa.DictionaryArray.from_arrays(indices, pa.array(self._names[field.name]))
        return pa.array(numbers, from_pandas=field.nullable)

    def _misfit(self, rows: Sequence[tuple[Any, ...]]) -> str:
        """Say what about the rows does not fit."""
        if len(set(map(len, rows))) > 1:
            return "the rows of a trace have different lengths."
        if len(rows[0]) != len(self._fields):
            names = ", ".join(field.name for field in self._fields)
            return f"a trace row has {len(rows[0])} values for the columns {names}."
        for field, code, values in zip(
            self._fields, self._codes, zip(*rows, strict=True), strict=True
        ):
            for value in values:
                try:
                    struct.pack("=" + code, value)
                except (struct.error, OverflowError) as error:
                    return f"trace column {field.name} ({field.type}): {value!r}: {error}."
        raise InvariantError("rows of a trace do not pack, though each of their values does.")


def _stored(field: pa.Field) -> pa.DataType:
    """Return the type of the numbers in a row: of names, that of their index."""
    return field.type.index_type if pa.types.is_dictionary(field.type) else field.type
