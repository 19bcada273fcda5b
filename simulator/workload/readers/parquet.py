"""Parquet traces: columns by name, and the requests of a run of moesim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.errors import DataError, unknown
from simulator.workload.readers.blocks import read_blocks
from simulator.workload.readers.generic import OPTIONAL, REQUIRED, GenericRows, unused_columns
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.readers.rows import Columns, Row
from simulator.workload.requests import RequestBlock

BATCH_ROWS = 1 << 15
"""Rows in memory at once."""

MAX_WAITING = 1 << 20
"""Most rows that wait for one before them (kind: assumed): so many were never in flight."""

RUN = ("arm", "replication")
"""What tells the runs in a file apart."""

RUN_COLUMNS = (
    "request_id",
    "arrival_s",
    "prompt_tokens",
    "output_tokens",
    "traffic_class",
    "tenant",
)


@dataclass(frozen=True, slots=True)
class TablePiece:
    """Some rows of a Parquet file.

    Parameters
    ----------
    table
        The rows.
    first, what
        Number of the first, and what is numbered ("row").
    at_once
        Checks all; None if any may be bad.
    one
        Checks one; raises ``BadRow``.
    """

    table: pa.Table
    first: int
    what: str
    at_once: Callable[[pa.Table], Columns | None]
    one: Callable[[dict[str, Any]], Row]

    def columns(self) -> Columns | None:
        """Check all rows."""
        return self.at_once(self.table)

    def items(self) -> Iterable[tuple[int, dict[str, Any]]]:
        """Return the rows and their numbers."""
        return enumerate(self.table.to_pylist(), self.first)

    def read(self, item: dict[str, Any]) -> Row:
        """Check one row."""
        return self.one(item)


@READERS.register("parquet")
def read_parquet(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read a Parquet file of your own, with the columns of ``workload.format=csv``.

    ``prefix_hashes`` is a list of whole numbers. Rows are in order of ``arrival_s``.

    Source: this project's own format.

    Raises
    ------
    DataError
        If the file cannot be read or a row is bad; the message names the file and the row.
    """
    with _opened(path) as file:
        names = file.schema_arrow.names
        _require(path, names, REQUIRED)
        unused_columns(path, names, policy)
        columns = [name for name in (*REQUIRED, *OPTIONAL) if name in names]
        rows = GenericRows(tuple(columns), policy)
        pieces = (
            TablePiece(table, first, "row", partial(_generic, rows), rows.of_mapping)
            for first, table in _tables(file, columns)
        )
        yield from read_blocks(pieces, path, policy, rows)


class RunLayout:
    """What the requests of a run have in common."""

    per_second = 1.0
    hash_tokens = 1
    traits = frozenset({"traffic_class", "tenant"})


@READERS.register("requests")
def read_requests(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read the requests of a run of moesim, ``requests.parquet``, or of a log written alike.

    ``arm, replication, request_id, arrival_s, prompt_tokens, output_tokens, traffic_class, tenant``
    and more. Of several runs in a file, the first is replayed; rows may be in the order in which
    requests left. Prefix hashes and conversations are not in such a file.

    Source: this project's own format.

    Raises
    ------
    DataError
        If the file cannot be read or a row is bad; the message names the file and the row.
    """
    with _opened(path) as file:
        _require(path, file.schema_arrow.names, (*RUN, *RUN_COLUMNS))
        tables = _in_order_of_arrival(_first_run(_tables(file, (*RUN, *RUN_COLUMNS))), path)
        at_once, one = partial(_run_columns, policy), partial(_run_row, policy)
        pieces = (TablePiece(table, first, "request", at_once, one) for first, table in tables)
        policy.report.notes.append("prefixes and conversations of the run are not in its trace")
        yield from read_blocks(pieces, path, policy, RunLayout())


def _first_run(tables: Iterable[tuple[int, pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of the run that the first row belongs to."""
    run: list[Any] | None = None
    for first, table in tables:
        if run is None:
            run = [table[name][0] for name in RUN]
        ours = pc.and_(
            *(pc.equal(table[name], value) for name, value in zip(RUN, run, strict=True))
        )
        yield first, table.filter(ours).drop_columns(list(RUN))


def _in_order_of_arrival(
    tables: Iterable[tuple[int, pa.Table]], path: Path
) -> Iterator[tuple[int, pa.Table]]:
    """Sort rows by number; a row waits in memory until all before it were read.

    Numbers begin at 0 and have no gaps: every request of a run leaves once.

    Raises
    ------
    DataError
        If there are gaps.
    """
    waiting: pa.Table | None = None
    due = 0
    for _, table in tables:
        known = table if waiting is None else pa.concat_tables([waiting, table])
        known = known.sort_by("request_id")
        due_now = known["request_id"].to_numpy() == due + np.arange(known.num_rows)
        ready = known.num_rows if due_now.all() else int(np.argmin(due_now))
        if ready:
            yield due, known.slice(0, ready).combine_chunks()
        due += ready
        waiting = known.slice(ready)
        if waiting.num_rows > MAX_WAITING:
            break
    if waiting is not None and waiting.num_rows:
        raise DataError(
            f"{path}: request {due} of the run is missing or there twice; the file is not whole."
        )


def _generic(rows: GenericRows, table: pa.Table) -> Columns | None:
    numbers = _typed(table, {"arrival_s": pa.float64(), **dict.fromkeys(REQUIRED[1:], pa.int64())})
    return None if numbers is None else rows.of_table(numbers)


def _run_columns(policy: ReadPolicy, table: pa.Table) -> Columns | None:
    types = {"arrival_s": pa.float64()} | dict.fromkeys(RUN_COLUMNS[2:], pa.int64())
    numbers = _typed(table, types)
    if numbers is None:
        return None
    time, prompts, outputs, classes, tenants = (
        numbers[name].to_numpy() for name in RUN_COLUMNS[1:]
    )
    if any(np.any(column < 0) for column in (time, classes, tenants)):
        return None
    if policy.tasks and classes.max(initial=0) >= len(policy.tasks):
        return None
    return Columns(time, prompts, outputs, classes, tenants)


def _run_row(policy: ReadPolicy, named: dict[str, Any]) -> Row:
    rows = GenericRows(REQUIRED, policy)
    whole = [named[name] for name in ("traffic_class", "tenant")]
    if any(type(value) is not int or value < 0 for value in whole):
        raise BadRow("no class or tenant", f"traffic_class and tenant are {whole}.")
    if policy.tasks and whole[0] >= len(policy.tasks):
        raise BadRow(
            "unknown traffic class",
            f"traffic_class is {whole[0]}, but workload.traffic_classes names {len(policy.tasks)}.",
        )
    return rows.of_mapping(named)._replace(traffic_class=whole[0], tenant=whole[1])


def _typed(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table | None:
    """Return the table with these columns as numbers without gaps, None if they are not."""
    for name, kind in types.items():
        index, column = table.schema.get_field_index(name), table[name]
        is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if column.null_count or not is_number:
            return None
        try:
            table = table.set_column(index, name, column.cast(kind))
        except pa.ArrowInvalid:
            return None
    return table


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; whatever pyarrow finds wrong with it becomes a ``DataError``."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a readable Parquet file: {reason}.") from error


def _tables(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of a file and the number of the first, some at a time."""
    first = 1
    for batch in file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
        yield first, pa.Table.from_batches([batch])
        first += batch.num_rows


def _require(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in names:
            raise DataError(f"{path}: {unknown('column', column, names, 'the file')}")
