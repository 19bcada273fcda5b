"""Read a sweep from its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import ConfigError
from simulator.study.sweep.layout import POINTS, label_of, partition

DONE, FAILED = "done", "failed"
"""What the column ``status`` holds."""

LEADING = {"point": pa.string(), "status": pa.string(), "reason": pa.string()}
"""First columns of every file: content hash; `DONE` or `FAILED`; why it failed."""

SWEEP = "sweep.json"
"""File that says what a folder of a sweep holds."""


def read_state(folder: Path) -> Mapping[str, Any] | None:
    """Return what ``sweep.json`` of a folder says; None where there is none.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    path = folder / SWEEP
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("axes"), dict):
        raise ConfigError(f"{str(path)!r} is not of a sweep: it names no axes.")
    return found


def status_of(path: Path) -> str:
    """Return the status of a point by its file."""
    with reading(path):
        (status,) = pq.ParquetFile(path).read(["status"])["status"].to_pylist()
    return str(status)


def read_points(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the points of a sweep that are there, in the order of its grid.

    Parameters
    ----------
    folder
        The folder of the sweep.
    columns
        Figures to read, where there are such; None reads all.

    Returns
    -------
    pyarrow.Table
        A column an axis, with numbers as numbers where all values of the axis are (else texts);
        then `LEADING` and the figures.

    Raises
    ------
    ConfigError
        If the folder is not of a sweep, or a file cannot be read.
    """
    state = read_state(folder)
    if state is None:
        raise ConfigError(f"{str(folder)!r} is not the folder of a sweep: it has no {SWEEP}.")
    axes = state["axes"]
    rows, coordinates = [], []
    for values in product(*axes.values()):
        where = folder / POINTS / partition(dict(zip(axes, values, strict=True)))
        for path in sorted(where.glob("*.parquet")):
            with reading(path):
                file = pq.ParquetFile(path)
                wanted = None if columns is None else [*LEADING, *columns]
                rows.append(file.read(wanted))
            coordinates.append(values)
    figures = pa.concat_tables(rows, promote_options="permissive") if rows else pa.table({})
    for position, (axis, values) in enumerate(axes.items()):
        column = [values[position] for values in coordinates]
        figures = figures.add_column(position, axis, _axis_array(column))
    return figures


def _axis_array(values: Sequence[Any]) -> pa.Array:
    if all(value is None or type(value) in (int, float) for value in values):
        return pa.array(values)
    return pa.array([None if value is None else label_of(value) for value in values])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Word what is wrong with the file of a point."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(
            f"{str(path)!r} cannot be read: {error}. Remove it and give the same command again."
        ) from error
