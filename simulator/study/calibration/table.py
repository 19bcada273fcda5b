"""Measurements read from a CSV file: columns, units, and what a cell may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from simulator.errors import DataError, nearest
from simulator.speculation.performance import Points
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements
from simulator.study.calibration.rows import Row, operating_point
from simulator.study.csv_rows import SECONDS, Line, read_lines

TIME_COLUMNS = {
    f"{name.removesuffix('_s')}{suffix}": (name, scale)
    for name in TIMES
    for suffix, scale in SECONDS.items()
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
    lines = read_lines(path, what="measurements")
    if not lines:
        raise DataError(f"{path} holds no rows of measurements below its header.")
    columns = _columns(path, lines[0].fields)
    rows = [_row(line, columns) for line in lines]
    points = np.array([operating_point(row, experts, top_k) for row in rows])
    batch, gamma, active, total, share = points.T
    found = Measurements(
        points=Points.of(batch, gamma, active, total, share, ridge_flop_per_byte),
        values={name: np.array([row.get(name) for row in rows]) for name in QUANTITIES},
        lines=tuple(line.number for line in lines),
        origin=str(path),
    )
    if not found.count():
        raise DataError(
            f"{path} has no measured value in any row; fill in {', '.join(QUANTITIES)}."
        )
    return found


def _columns(path: Path, header: Iterable[str]) -> dict[str, str]:
    """Return our name of each column; refuse those that we do not know."""
    columns = {cell: LETTERS.get(cell.lower(), cell.lower()) for cell in header}
    names, where = list(columns.values()), f"{path}, line 1"
    for name in names:
        if name not in COLUMNS:
            close = nearest(name, COLUMNS)
            hint = f" Did you mean {close!r}?" if close else ""
            raise DataError(
                f"{where}: unknown column {name!r}.{hint} Known: {', '.join(POINT_COLUMNS)}, "
                f"speedup, {', '.join(TIMES)} (or _ms, _us). Remove what is no measurement."
            )
    kinds = [TIME_COLUMNS.get(name, (name,))[0] for name in names]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise DataError(f"{where}: gives {kind} twice, by two names; keep one column.")
    if "batch" not in kinds:
        raise DataError(f"{where}: lacks the column 'batch' (requests in a step); add it.")
    if not set(QUANTITIES) & set(kinds):
        raise DataError(f"{where}: has no measured column; add one of {', '.join(QUANTITIES)}.")
    return columns


def _row(line: Line, columns: Mapping[str, str]) -> Row:
    cells = {}
    for field, column in columns.items():
        if line.text(field):
            name, scale = TIME_COLUMNS.get(column, (column, 1.0))
            cells[name] = scale * line.finite(field)
    return Row(line, cells)
