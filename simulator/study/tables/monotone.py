"""Where the shipped tables say that more work takes less time.

More tokens, a longer context, more requests or more query tokens never lessen what a kernel has to
do, yet measured times fall here and there: a larger problem may get a better split or tile, and
launches of a few microseconds scatter. The tables keep these *dips*, so a step may get cheaper as
it grows; everything else in its price never falls (``tests/properties/test_monotone_steps.py``).
Dense products are shipped without dips (`kernels.monotone`); what is left there comes from filling
shapes that were not measured with every number of tokens from their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.cleaning import filtered, series
from simulator.kernels.loggrid import fill_holes, grid_of
from simulator.kernels.schema import MONOTONE, OPERATORS, Rows, read_table

GROWING = {
    "decode_attention": ("heads", "context", "batch"),
    "latent_decode": ("heads", "context", "batch"),
    "sparse_decode": ("context", "batch"),
}
"""Keys along which a step grows, where they are more than `Operator.grow_along`; query tokens of
one request count as further query heads."""

SMALL, LARGE = 0.01, 0.05
"""Depths that a summary counts rows above."""


@dataclass(frozen=True, slots=True)
class Dip:
    """A time below that of less work.

    Parameters
    ----------
    gpu, engine, operator, dtype
        Whose table it is in.
    shape
        Everything else that identifies the kernel, ``key=value``.
    axis
        The key that grows.
    start, end
        Its values: where the longest time before was, and where the shorter one is.
    drop
        By how much the time at the end is below, as a fraction.
    measured
        False where one of the two times was filled from neighbouring shapes.
    """

    gpu: str
    engine: str
    operator: str
    dtype: str
    shape: str
    axis: str
    start: int
    end: int
    drop: float
    measured: bool


@dataclass(frozen=True, slots=True)
class DipSummary:
    """The dips of one table along one key.

    Parameters
    ----------
    gpu, engine, operator, axis
        As in `Dip`.
    rows
        Rows of the table; of dense products points of the grid, filled ones included.
    above_small, above_large
        Shares of them more than `SMALL` and `LARGE` below the longest time before.
    largest
        The deepest.
    """

    gpu: str
    engine: str
    operator: str
    axis: str
    rows: int
    above_small: float
    above_large: float
    largest: float


@dataclass(frozen=True, slots=True)
class _Scan:
    """The rows of a table, and for each the place of the longest time before it along one key."""

    axis: str
    rows: Rows
    longest: NDArray[np.int64]

    @property
    def drop(self) -> NDArray[np.float64]:
        seconds = self.rows["seconds"].astype(float)
        return np.asarray(1.0 - seconds / seconds[self.longest])

    def dip(self, gpu: str, engine: str, operator: str, row: int) -> Dip:
        form, before = OPERATORS[operator], int(self.longest[row])
        names = [name for name in (*form.labels, *form.keys) if name != self.axis]
        return Dip(
            gpu=gpu,
            engine=engine,
            operator=operator,
            dtype=str(self.rows["dtype"][row]),
            shape=" ".join(f"{name}={self.rows[name][row]}" for name in names),
            axis=self.axis,
            start=int(self.rows[self.axis][before]),
            end=int(self.rows[self.axis][row]),
            drop=float(1.0 - self.rows["seconds"][row] / self.rows["seconds"][before]),
            measured=bool(self.rows["measured"][[before, row]].all()),
        )


def table_dips(gpu: str, engine: str, operator: str, least: float = SMALL) -> list[Dip]:
    """List the dips of one shipped table.

    Parameters
    ----------
    gpu, engine, operator
        Measured GPU, one of `schema.ENGINES`, and one of `schema.OPERATORS`.
    least
        Drop from which on a dip is listed.

    Returns
    -------
    list of Dip
        In the order of the table; empty where there is no such table.
    """
    return [
        scan.dip(gpu, engine, operator, int(row))
        for scan in _scans(gpu, engine, operator)
        for row in np.flatnonzero(scan.drop >= least)
    ]


def summarise_dips(gpu: str, engine: str, operator: str) -> list[DipSummary]:
    """Count the dips of one shipped table, along each key that a step grows along.

    Arguments as in `table_dips`.
    """
    found = []
    for scan in _scans(gpu, engine, operator):
        drop = scan.drop
        found.append(
            DipSummary(
                gpu=gpu,
                engine=engine,
                operator=operator,
                axis=scan.axis,
                rows=len(drop),
                above_small=float(np.mean(drop > SMALL)),
                above_large=float(np.mean(drop > LARGE)),
                largest=float(drop.max(initial=0.0)),
            )
        )
    return found


def growing_axes(operator: str) -> tuple[str, ...]:
    """Return the keys of an operator along which a step grows."""
    return GROWING.get(operator, (OPERATORS[operator].grow_along,))


def _scans(gpu: str, engine: str, operator: str) -> Iterator[_Scan]:
    form = OPERATORS[operator]
    rows = read_table(gpu, engine, operator)
    if rows is None:
        return
    rows = _products(rows) if form.monotone else rows | {"measured": rows["seconds"] > 0}
    for axis in growing_axes(operator):
        others = [name for name in ("dtype", *form.labels, *form.keys) if name != axis]
        groups = series(rows, others)
        order = np.lexsort([rows[axis], groups])
        ordered = {name: column[order] for name, column in rows.items()}
        first = np.flatnonzero(np.diff(groups[order], prepend=-1))
        parts = np.split(ordered["seconds"], first[1:])
        longest = np.concatenate([_longest_before(part) for part in parts])
        yield _Scan(axis, ordered, longest + np.repeat(first, [len(part) for part in parts]))


def _longest_before(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each row the first place of the longest time up to it."""
    places = np.arange(len(seconds))
    new = np.r_[True, seconds[1:] > np.maximum.accumulate(seconds)[:-1]]
    return np.maximum.accumulate(np.where(new, places, 0))


def _products(rows: Rows) -> Rows:
    """Return dense products as they are priced: made monotone, holes of the grid filled."""
    grids = []
    for dtype in np.unique(rows["dtype"]):
        mine = filtered(rows, rows["dtype"] == dtype)
        axes, seconds = grid_of([mine[name] for name in ("n", "k", "m")], mine[MONOTONE])
        filled, _ = fill_holes(axes, seconds, (1.0, 1.0, 1.0))
        n, k, m = (grid.ravel().astype(int) for grid in np.meshgrid(*axes, indexing="ij"))
        known = ~np.isnan(seconds).ravel()
        grids.append({"n": n, "k": k, "m": m, "seconds": filled.ravel(), "measured": known})
        grids[-1]["dtype"] = np.full(len(n), dtype)
    return {name: np.concatenate([grid[name] for grid in grids]) for name in grids[0]}
