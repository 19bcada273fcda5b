"""Read a trace back: checked, in projected columns, one run at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.errors import DataError
from simulator.trace.schema import CONSTANTS, NAMES, notes_of, problem_of

Column = np.ndarray[Any, np.dtype[Any]]
Columns = dict[str, Column]
"""Columns by name; nulls are NaN, names the index they have in the schema. Shape ``[rows]``."""


class Run(NamedTuple):
    """Which engine run a row belongs to."""

    arm: str
    replication: int


def open_trace(path: Path | str, table: str | None = None) -> pq.ParquetFile:
    """Open a trace file after checking that it is one, complete, and of this version.

    Parameters
    ----------
    path
        The file.
    table
        One of `simulator.trace.schema.TABLES`; None takes any.

    Raises
    ------
    DataError
        If it is not such a file; the message names it and says what it is instead.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(
            f"no trace {str(path)!r}. What a run that was cut off has left: moesim recover "
            f"{Path(path).parent}"
        ) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{str(path)!r} is not a readable Parquet file: {error}.") from error
    found = notes(file)
    problem = problem_of(found, table)
    if problem is None and found.get("complete") != "true":
        problem = "is incomplete: its run was cut off. Run it again."
    if problem:
        file.close()
        raise DataError(f"{str(path)!r} {problem}")
    return file


def notes(file: pq.ParquetFile) -> dict[str, str]:
    """Return the file metadata of ours, keys without prefix."""
    return notes_of(file.metadata.metadata)


def chunks(path: Path | str, table: str, columns: Sequence[str]) -> Iterator[tuple[Run, Columns]]:
    """Iterate over a trace in file order, one chunk of one run at a time.

    Parameters
    ----------
    path, table
        The file and the table it holds.
    columns
        Columns to read; the others are not touched on disk.

    Yields
    ------
    tuple of Run and Columns
        At most one row group each, so memory does not grow with the trace.

    Raises
    ------
    DataError
        If the file is not a trace of this table.
    """
    with open_trace(path, table) as file:
        for index in range(file.num_row_groups):
            rows = file.read_row_group(index, columns=[*CONSTANTS, *columns])
            # Our own row groups hold one run; a file sorted by another tool may hold several.
            keys = rows.select(CONSTANTS).group_by(CONSTANTS).aggregate([]).to_pylist()
            for key in keys:
                run = Run(str(key["arm"]), int(key["replication"]))
                part = rows if len(keys) == 1 else rows.filter(_is_of(rows, run))
                yield run, {name: _numbers(part[name], NAMES.get(name)) for name in columns}


def _is_of(rows: pa.Table, run: Run) -> pa.ChunkedArray:
    return pc.and_(pc.equal(rows["arm"], run.arm), pc.equal(rows["replication"], run.replication))


def _numbers(column: pa.ChunkedArray, names: Sequence[str] | None) -> Column:
    """Return a column as numbers; of names, wherever a tool put them, the index in ours."""
    if names is None:
        numbers: Column = column.to_numpy()
    else:
        numbers = pc.index_in(column.cast(pa.string()), pa.array(names)).to_numpy()
    return numbers
