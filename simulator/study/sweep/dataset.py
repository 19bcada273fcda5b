"""Files of points: a row each, and in the end the same columns in all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.study.sweep.points import Scalar
from simulator.study.sweep.reading import LEADING, reading
from simulator.trace.files import disk_errors, partial_path
from simulator.trace.schema import with_notes

_SMALL = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
"""One row of hundreds of columns: half the bytes, and no slower to read."""


def row_table(row: Mapping[str, Scalar], notes: Mapping[str, str]) -> pa.Table:
    """Return a row as a table: `LEADING`, then the other columns by name.

    Parameters
    ----------
    row
        Values by column.
    notes
        File metadata, keys without ``moesim.``.
    """
    types = {name: pa.scalar(value).type for name, value in row.items()}
    columns = _in_order(types | LEADING)
    arrays = [pa.array([row.get(name)], kind) for name, kind in columns.items()]
    schema = with_notes(pa.schema(list(columns.items())), notes)
    return pa.Table.from_arrays(arrays, schema=schema)


def _in_order(columns: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    return LEADING | dict(sorted(columns.items()))


def write_row(path: Path, table: pa.Table) -> None:
    """Write the file of a point, which appears whole or not at all.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    partial = partial_path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(partial, table.schema, **_SMALL) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(table.schema.metadata)
        os.replace(partial, path)


def common_columns(paths: Iterable[Path]) -> dict[str, pa.DataType]:
    """Return the columns of all points with their types.

    Numbers that are whole at some points and not at others are floating point everywhere; what is
    a number at some and a text at others is a text.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """
    found: dict[str, pa.DataType] = {}
    for path in paths:
        with reading(path):
            schema = pq.read_schema(path)
        for name, kind in zip(schema.names, schema.types, strict=True):
            found[name] = _wider(found.get(name, kind), kind)
    return _in_order(found)


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return pa.string()


def conform(path: Path, columns: Mapping[str, pa.DataType]) -> None:
    """Write the file of a point anew, if need be, with the columns of all points."""
    schema = pq.read_schema(path)
    if list(zip(schema.names, schema.types, strict=True)) == list(columns.items()):
        return
    table = pq.read_table(path, partitioning=None)
    arrays = [
        table[name].cast(kind) if name in table.column_names else pa.nulls(table.num_rows, kind)
        for name, kind in columns.items()
    ]
    wanted = pa.schema(list(columns.items()), table.schema.metadata)
    write_row(path, pa.Table.from_arrays(arrays, schema=wanted))
