"""Streaming writer of one trace table: flat memory, and no file that looks complete but is not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import ConfigError, InvariantError
from simulator.trace.rows import RowFormat
from simulator.trace.schema import CONSTANTS, PREFIX, with_notes

BLOCK_ROWS = 32_768
"""Rows an engine gathers before it flushes: large enough that a row costs under 1 us all in."""


class ParquetStream:
    """A Parquet file that gets its name only when it is complete.

    Rows go to ``path + ".incomplete"``; :meth:`finish` writes the footer and renames. The file
    metadata state which it is: ``moesim.complete`` is ``true`` or ``false``.

    Parameters
    ----------
    path
        The file to make; missing folders are made.
    schema
        Its schema, file metadata included.

    Raises
    ------
    ConfigError
        If the folder cannot be written, here or later.
    """

    def __init__(self, path: Path | str, schema: pa.Schema) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".incomplete")
        self.rows_written = 0
        with self._disk():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Dictionaries only for the names: on numbers they cost time and save little.
            names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
            self._writer = pq.ParquetWriter(
                self.partial, schema, compression="zstd", use_dictionary=names or False
            )

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Write rows as one row group."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        with self._disk():
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.rows_written += table.num_rows

    def finish(self) -> None:
        """Complete the file and give it its name, replacing what had it."""
        self._footer(complete=True)
        with self._disk():
            os.replace(self.partial, self.path)

    def abandon(self) -> None:
        """Close the partial file under its partial name, readable up to its last row group."""
        if self._writer.is_open:
            self._footer(complete=False)

    def _footer(self, *, complete: bool) -> None:
        with self._disk():
            self._writer.add_key_value_metadata({PREFIX + "complete": str(complete).lower()})
            self._writer.close()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"cannot write the trace {str(self.path)!r}: {reason}. Free the disk or choose "
                "another folder with hydra.run.dir=FOLDER."
            ) from error


class RowSink(Protocol):
    """Where the engine puts its rows: appended to ``rows``, then ``flush`` when there are many."""

    rows: list[tuple[Any, ...]]

    def flush(self) -> None:
        """Take the rows that are there; the list stays the same object."""
        ...


class TraceWriter:
    """Writes the rows of one engine run: one arm of one replication.

    The engine appends tuples to :attr:`rows` and calls :meth:`flush` when there are
    ``BLOCK_ROWS`` of them; both are plain list work on its hot path. As a context manager it
    closes on success, and on an exception leaves only the ``.incomplete`` file.

    Parameters
    ----------
    path
        The file to make.
    schema
        ``REQUESTS`` or ``ITERATIONS``.
    metadata
        Notes for the file metadata, without prefix: ``config``, ``seed``, ``versions``.
    constants
        Values of the columns that the engine does not write: ``arm`` and ``replication``.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    InvariantError
        If the constants or a row do not fit the schema.
    """

    rows: list[tuple[Any, ...]]
    """Rows not yet written, in the order of :func:`~simulator.trace.schema.row_columns`.

    The list stays the same object for the life of the writer, so ``rows.append`` may be kept.
    """

    def __init__(
        self,
        path: Path | str,
        schema: pa.Schema,
        metadata: Mapping[str, str],
        constants: Mapping[str, Any],
    ) -> None:
        if set(constants) != set(CONSTANTS):
            raise InvariantError(f"a trace needs the constants {CONSTANTS}, got {constants!r}.")
        self.rows = []
        self._schema = schema
        self._constants = dict(constants)
        self._format = RowFormat(schema)
        notes = {**metadata, **{key: str(value) for key, value in constants.items()}}
        self._stream = ParquetStream(path, with_notes(schema, notes))
        self._open = True

    @property
    def path(self) -> Path:
        """The file that :meth:`close` makes."""
        return self._stream.path

    @property
    def rows_written(self) -> int:
        """Rows handed to the file so far."""
        return self._stream.rows_written

    def flush(self) -> None:
        """Write the gathered rows as one row group and empty :attr:`rows`."""
        count = len(self.rows)
        if not count:
            return
        columns = self._constant_columns(count) + self._format.columns(self.rows)
        self.rows.clear()
        self._stream.write(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        """Write what is left, complete the file and give it its name. Closing twice is harmless."""
        if self._open:
            self.flush()
            self._stream.finish()
            self._open = False

    def abandon(self) -> None:
        """Give up: drop unwritten rows and leave the ``.incomplete`` file readable."""
        if self._open:
            self._open = False
            self._stream.abandon()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self.close()
            except BaseException:
                self.abandon()
                raise
        else:
            self.abandon()

    def _constant_columns(self, count: int) -> list[pa.Array]:
        arm = pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), [self._constants["arm"]])
        replication = np.full(count, self._constants["replication"], np.int16)
        return [arm, pa.array(replication)]
