"""Streaming writer of one engine run's rows of one table, in flat memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from simulator.errors import InvariantError
from simulator.trace.parts import PartStream
from simulator.trace.rows import RowFormat
from simulator.trace.schema import CONSTANTS, with_notes

BLOCK_ROWS = 32_768
"""Rows an engine gathers before it flushes: large enough that a row costs under 1 us all in."""


class RowSink(Protocol):
    """Where the engine puts its rows: appended to ``rows``, then ``flush`` when there are many."""

    rows: list[tuple[Any, ...]]

    def flush(self) -> None:
        """Take the rows that are there; the list stays the same object."""
        ...


class TraceWriter:
    """Writes the rows of one engine run, one arm of one replication, as a part of a trace.

    The engine appends tuples to :attr:`rows` and calls :meth:`flush` when there are
    ``BLOCK_ROWS`` of them; both are plain list work on its hot path. As a context manager it
    closes on success, and on an exception leaves only the ``.incomplete`` file. What a process
    that was killed leaves can be read up to the last flush (`trace.parts`).

    Parameters
    ----------
    path
        The part to make; `trace.merge` makes the Parquet file of the parts.
    schema
        One of `simulator.trace.schema.TABLES`.
    metadata
        Notes for the file metadata, without prefix: ``config``, ``seed``, ``versions``.
    constants
        Values of the columns that the engine does not write: ``arm`` and ``replication``.
    names
        As of `rows.RowFormat`.

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
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if set(constants) != set(CONSTANTS):
            raise InvariantError(f"a trace needs the constants {CONSTANTS}, got {constants!r}.")
        self.rows = []
        self._schema = schema
        self._constants = dict(constants)
        self._format = RowFormat(schema, names)
        notes = {**metadata, **{key: str(value) for key, value in constants.items()}}
        self._stream = PartStream(path, with_notes(schema, notes))
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
        """Write the gathered rows as one block and empty :attr:`rows`."""
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
