"""Join the traces of several engine runs into one file, in bounded memory and a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import InvariantError
from simulator.trace.read import notes, open_trace
from simulator.trace.schema import TABLES, with_notes
from simulator.trace.writer import ParquetStream

ROW_GROUP_ROWS = 131_072
"""Rows in a row group of the merged file; the last group of each part holds what is left."""


def merge(parts: Sequence[Path], destination: Path, metadata: Mapping[str, str]) -> Path:
    """Join part files, each one arm of one replication, into one file.

    Row groups never span two parts, so their statistics tell which run they hold, and neither
    their content nor their sizes depend on how many processes wrote the parts. The parts are
    deleted once the file has its name. Memory is that of one row group.

    Parameters
    ----------
    parts
        Files of :class:`~simulator.trace.writer.TraceWriter`, in the order to join them; at least
        one. The first decides which table it is.
    destination
        The file to make.
    metadata
        Notes for its file metadata, without prefix.

    Returns
    -------
    Path
        ``destination``.

    Raises
    ------
    DataError
        If a part is missing, incomplete or of another table.
    ConfigError
        If the folder cannot be written.
    """
    if not parts or destination in parts:
        raise InvariantError(f"cannot merge {[str(part) for part in parts]} into {destination}.")
    with open_trace(parts[0]) as first:
        table_name = notes(first)["table"]
    stream = ParquetStream(destination, with_notes(TABLES[table_name], metadata))
    try:
        for part in parts:
            with open_trace(part, table_name) as source:
                for table in _regrouped(source):
                    stream.write(table.replace_schema_metadata(None))
    except BaseException:
        stream.abandon()
        raise
    stream.finish()
    for part in parts:
        part.unlink()
    return stream.path


def _regrouped(source: pq.ParquetFile) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    rows = 0
    for index in range(source.num_row_groups):
        waiting.append(source.read_row_group(index))
        rows += waiting[-1].num_rows
        while rows >= ROW_GROUP_ROWS:
            table = pa.concat_tables(waiting)
            yield table.slice(0, ROW_GROUP_ROWS)
            waiting, rows = [table.slice(ROW_GROUP_ROWS)], rows - ROW_GROUP_ROWS
    if rows:
        yield pa.concat_tables(waiting)
