"""Step models of every shipped pairing, on the shipped tables and on tables without dips."""

from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest

from simulator.costs.engine import load_engine
from simulator.costs.forward import ForwardCost
from simulator.costs.step import StepModel
from simulator.errors import SimulatorError
from simulator.experts.laws import Overlap
from simulator.hardware.gpu import load_gpu
from simulator.kernels import loggrid, measured
from simulator.kernels.cleaning import filtered, series
from simulator.kernels.schema import OPERATORS, read_table
from simulator.kernels.tables import KernelTables
from simulator.models.catalog import default_drafter, load_architecture, load_drafter
from simulator.models.drafters import drafter_operators
from simulator.models.forward import forward_operators
from simulator.models.parallelism import check_parallelism
from simulator.study.tables.monotone import growing_axes

fill_holes = loggrid.fill_holes


def built(model, gpu, engine, spread, within_request=1.0):
    """The step model of a pairing, or None where something was not measured or does not divide."""
    return _built(model, gpu, engine, spread, within_request)


@contextmanager
def without_dips():
    """Price with the longest time up to each point of a table instead of the time there.

    What falls now, falls for another reason than a measured dip. Models built here keep such
    tables; grids are built when first asked, so steps have to be priced here too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "read_table", rows_without_dips)
        patch.setattr(measured, "measured_tables", _tables_without_dips)
        patch.setattr(loggrid, "fill_holes", _filled_without_dips)
        yield _built_without_dips


def _build(model, gpu, engine, spread, within_request):
    try:
        target, serving = load_architecture(model), load_engine(engine)
        check_parallelism(target, spread)
        tables = KernelTables.load(load_gpu(gpu), serving.tables)
        drafts = drafter_operators(load_drafter(default_drafter(model)), target, spread)
        return StepModel(
            target=ForwardCost(forward_operators(target, spread), tables, serving),
            drafter=ForwardCost(drafts, tables, serving) if drafts else None,
            law=Overlap(within_request),
            engine=serving,
            vocab=target.vocab,
            parallelism=spread,
        )
    except SimulatorError:
        return None


_built, _built_without_dips = cache(_build), cache(_build)
_tables_without_dips = cache(measured.MeasuredTables)


def rows_without_dips(gpu, engine, operator, columns=None):
    """Read a table, each time the longest measured for no more work."""
    rows = read_table(gpu, engine, operator, columns)
    form = OPERATORS[operator]
    if rows is None or form.monotone or "seconds" not in rows:
        return rows
    axes = growing_axes(operator)
    groups = series(rows, [key for key in ("dtype", *form.labels, *form.keys) if key not in axes])
    seconds = rows["seconds"].astype(float)
    order = np.argsort(groups, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        mine = filtered(rows, group)
        grid, values = loggrid.grid_of([mine[axis] for axis in axes], mine["seconds"])
        longest = _longest(np.nan_to_num(values, nan=-np.inf))
        seconds[group] = longest[
            tuple(np.searchsorted(line, mine[axis]) for line, axis in zip(grid, axes, strict=True))
        ]
    return rows | {"seconds": seconds}


def _filled_without_dips(axes, seconds, powers):
    filled, assumed = fill_holes(axes, seconds, powers)
    return _longest(filled), assumed


def _longest(values):
    for axis in range(values.ndim):
        values = np.maximum.accumulate(values, axis=axis)
    return values
