"""Join the traces of several engine runs into one file, in bounded memory and a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from simulator.errors import InvariantError
from simulator.trace.parquet import ParquetStream
from simulator.trace.parts import open_part
from simulator.trace.schema import TABLES, notes_of, with_notes

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
    table_name = notes_of(open_part(parts[0]).schema.metadata)["table"]
    stream = ParquetStream(destination, with_notes(TABLES[table_name], metadata))
    try:
        for part in parts:
            for table in regrouped(open_part(part, table_name).blocks):
                stream.write(table)
    except BaseException:
        stream.abandon()
        raise
    stream.finish()
    for part in parts:
        part.unlink()
    return stream.path


def regrouped(blocks: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield tables of ``ROW_GROUP_ROWS``, the last with what is left, without schema metadata."""
    waiting: list[pa.Table] = []
    rows = 0
    for block in blocks:
        waiting.append(pa.Table.from_batches([block]).replace_schema_metadata(None))
        rows += block.num_rows
        while rows >= ROW_GROUP_ROWS:
            table = pa.concat_tables(waiting)
            yield table.slice(0, ROW_GROUP_ROWS)
            waiting, rows = [table.slice(ROW_GROUP_ROWS)], rows - ROW_GROUP_ROWS
    if rows:
        yield pa.concat_tables(waiting)
