"""Rows of an engine run kept in memory, for a study that wants figures and no files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from simulator.trace.schema import row_columns

Floats = NDArray[np.float64]


class KeptRows:
    """Keeps all rows of a table (`writer.RowSink`); memory grows with the run.

    Parameters
    ----------
    schema
        One of `schema.TABLES`.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._names = row_columns(schema)
        self.rows: list[tuple[Any, ...]] = []

    def flush(self) -> None:
        """Keep them."""

    def columns(self) -> dict[str, Floats]:
        """Return the columns by name, in the order in which the engine wrote; NaN for no value.

        Examples
        --------
        >>> from simulator.trace.schema import ITERATIONS
        >>> kept = KeptRows(ITERATIONS)
        >>> kept.rows.append(tuple(range(len(row_columns(ITERATIONS)))))
        >>> kept.columns()["iteration"]
        array([1.])
        """
        table = np.array(self.rows, dtype=np.float64).reshape(-1, len(self._names))
        return dict(zip(self._names, table.T, strict=True))


class DroppedRows:
    """Takes the rows of a table that nobody reads (`writer.RowSink`)."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def flush(self) -> None:
        """Drop them."""
        self.rows.clear()
