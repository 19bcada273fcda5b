"""Measurements read from a CSV file: columns, units, and what a cell may hold."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from simulator.errors import DataError, nearest
from simulator.speculation.performance import Points
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements
from simulator.study.calibration.rows import Row, operating_point
from simulator.units import MS, US

UNITS = {"s": 1.0, "ms": MS, "us": US}
"""Units that the name of a column of times may end in."""

TIME_COLUMNS = {
    f"{name.removesuffix('_s')}_{unit}": (name, scale)
    for name in TIMES
    for unit, scale in UNITS.items()
}
"""Columns of times: the quantity and seconds per unit."""

LETTERS = {"b": "batch", "k": "top_k", "e": "experts"}
"""The paper's letters for columns."""

POINT_COLUMNS = ("batch", "gamma", "top_k", "experts", "sigma", "alpha")

COLUMNS = (*POINT_COLUMNS, "speedup", *TIME_COLUMNS)


def read_table(
    path: Path,
    ridge_flop_per_byte: float,
    *,
    experts: int | None = None,
    top_k: int | None = None,
) -> Measurements:
    """Read measurements.

    Columns, in any order: ``batch``, ``gamma``, ``top_k``, ``experts``, ``sigma`` (or ``alpha``),
    and of ``speedup``, ``ar_step_s``, ``verify_step_s``, ``draft_step_s``, ``reject_s`` those that
    were measured; times may end in ``_ms`` or ``_us`` instead. Empty cells were not measured.

    Parameters
    ----------
    path
        The CSV file, with a header.
    ridge_flop_per_byte
        Of the GPU.
    experts, top_k
        Of the model, for files without these columns.

    Raises
    ------
    DataError
        If the file or a cell cannot be used; the message names file, line, value and what to do.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} holds no rows of measurements below its header.")
    points = np.array([operating_point(row, experts, top_k) for row in rows])
    batch, gamma, active, total, share = points.T
    found = Measurements(
        points=Points.of(batch, gamma, active, total, share, ridge_flop_per_byte),
        values={name: np.array([row.get(name) for row in rows]) for name in QUANTITIES},
        lines=tuple(row.line for row in rows),
        origin=str(path),
    )
    if not found.count():
        raise DataError(
            f"{path} has no measured value in any row; fill in {', '.join(QUANTITIES)}."
        )
    return found


def _rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = _header(path, next(reader, []))
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    line = f"{path} line {reader.line_num}"
                    yield Row(reader.line_num, line, dict(_cells(line, header, cells)))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}. Give data=FILE.csv.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}.") from error


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    """Return the columns by our names; refuse those that we do not know."""
    names = [LETTERS.get(cell.strip().lower(), cell.strip().lower()) for cell in cells]
    where = f"{path} line 1"
    for name in names:
        if name not in COLUMNS:
            close = nearest(name, COLUMNS)
            hint = f" Did you mean {close!r}?" if close else ""
            raise DataError(
                f"unknown column {name!r} in {where}.{hint} Known: {', '.join(POINT_COLUMNS)}, "
                f"speedup, {', '.join(TIMES)} (or _ms, _us). Remove what is no measurement."
            )
        if names.count(name) > 1:
            raise DataError(f"{where} has the column {name!r} twice; keep one.")
    kinds = [TIME_COLUMNS[name][0] for name in names if name in TIME_COLUMNS]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise DataError(f"{where} gives {kind} in two units; keep one column.")
    if "batch" not in names:
        raise DataError(f"{where} lacks the column 'batch' (requests in a step); add it.")
    if not kinds and "speedup" not in names:
        raise DataError(f"{where} has no measured column; add one of speedup, {', '.join(TIMES)}.")
    return names


def _cells(where: str, header: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, float]]:
    if len(cells) != len(header):
        raise DataError(
            f"{where} has {len(cells)} cells for {len(header)} columns; "
            "leave cells empty that were not measured."
        )
    for column, text in zip(header, cells, strict=True):
        if not text.strip():
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{where}: {column}={text.strip()!r} is no number.")
        name, scale = TIME_COLUMNS.get(column, (column, 1.0))
        yield name, value * scale
