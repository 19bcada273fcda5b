"""The Parquet file of one table: in row groups, and no file that looks complete but is not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.trace.files import disk_errors, partial_path
from simulator.trace.schema import PREFIX


class ParquetStream:
    """A Parquet file that gets its name only when it is finished.

    Rows go to ``path + ".incomplete"``; :meth:`finish` writes the footer and renames. The file
    metadata state whether the trace is whole: ``moesim.complete`` is ``true`` or ``false``.

    Parameters
    ----------
    path
        The file to make; missing folders are made.
    schema
        Its schema, file metadata included.
    rising
        Integer columns that go up step by step: stored as differences, they take next to nothing.

    Raises
    ------
    ConfigError
        If the folder cannot be written, here or later.
    """

    def __init__(self, path: Path | str, schema: pa.Schema, rising: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.partial = partial_path(self.path)
        self.rows_written = 0
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Dictionaries only for the names: on numbers they cost time and save little.
            names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
            self._writer = pq.ParquetWriter(
                self.partial,
                schema,
                compression="zstd",
                use_dictionary=names or False,
                column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
            )

    def write(self, rows: pa.Table) -> None:
        """Write rows as one row group."""
        with disk_errors(self.path):
            self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        self.rows_written += rows.num_rows

    def finish(self, *, complete: bool = True) -> None:
        """End the file and give it its name, replacing what had it.

        Parameters
        ----------
        complete
            Whether it holds the whole trace, or what a run that was cut off has left.
        """
        self._footer(complete=complete)
        with disk_errors(self.path):
            os.replace(self.partial, self.path)

    def abandon(self) -> None:
        """Close the partial file under its partial name, readable up to its last row group."""
        if self._writer.is_open:
            self._footer(complete=False)

    def _footer(self, *, complete: bool) -> None:
        with disk_errors(self.path):
            self._writer.add_key_value_metadata({PREFIX + "complete": str(complete).lower()})
            self._writer.close()
