"""Timing a plan: warm-up, repeats with cold caches, median and spread, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.device import Device
from simulator.kernels.microbench.plan import Plan

LEAST_REPEATS, MOST_REPEATS = 3, 9
"""Repeats of a cell: at least for a median, at most because more change nothing."""

FAIR_SHARES = 4.0
"""A cell may take this many times what is left of the budget per cell: most are short."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Times of one cell.

    Parameters
    ----------
    cell
        What was timed.
    samples_s
        Every repeat after the warm-up, in order, s.
    """

    cell: Cell
    samples_s: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median, s."""
        return float(np.median(self.samples_s))

    @property
    def spread(self) -> float:
        """Distance between the quartiles over the median."""
        low, high = np.quantile(self.samples_s, (0.25, 0.75))
        return float((high - low) / self.seconds)


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was timed.

    Parameters
    ----------
    tables
        Of the series of the plan.
    line
        Of its line.
    skipped
        Cells that would have taken too long.
    """

    tables: tuple[Measurement, ...]
    line: tuple[Measurement, ...]
    skipped: tuple[Cell, ...]


class Budget:
    """Shares the time for a plan among its cells.

    Parameters
    ----------
    seconds
        For the whole plan.
    cells
        Cells of the plan.
    clock
        Seconds from any origin.
    """

    def __init__(self, seconds: float, cells: int, clock: Callable[[], float]) -> None:
        self._end_s = clock() + seconds
        self._left = cells
        self._clock = clock

    def cap_s(self) -> float:
        """Return how long the next cell may take."""
        return FAIR_SHARES * max(0.0, self._end_s - self._clock()) / max(1, self._left)

    def done(self, cells: int = 1) -> None:
        """Count cells as timed or left out."""
        self._left -= cells


def measure(cell: Cell, device: Device, cap_s: float, clock: Callable[[], float]) -> Measurement:
    """Time one cell: one run to warm up, then repeats until the median is firm or time is up."""
    call = device.prepare(cell)
    device.time(call)
    start_s = clock()
    samples: list[float] = []
    while len(samples) < MOST_REPEATS:
        if len(samples) >= LEAST_REPEATS and clock() - start_s > cap_s:
            break
        samples.append(device.time(call))
    return Measurement(cell, tuple(samples))


def run_plan(
    plan: Plan,
    device: Device,
    budget_s: float,
    advance: Callable[[float], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Results:
    """Time every cell of a plan, and leave out the ends of series that would take too long.

    A cell is expected to take as long as the one before it in its series, times the ratio of their
    work, whichever of bytes and FLOPs grows more. The first of a series is always timed, and the
    line always whole: it is what the machine is judged by.

    Parameters
    ----------
    plan, device
        What to time, on what.
    budget_s
        Time to keep to, s; preparing operands counts.
    advance
        Told of every cell done.
    clock
        Seconds from any origin.
    """
    budget = Budget(budget_s, plan.cells, clock)

    def timed(cell: Cell) -> Measurement:
        found = measure(cell, device, budget.cap_s(), clock)
        budget.done()
        advance(1)
        return found

    line = tuple(timed(cell) for cell in plan.line)
    tables: list[Measurement] = []
    skipped: list[Cell] = []
    for series in plan.series:
        last: Measurement | None = None
        for index, cell in enumerate(series):
            if last and expected_s(last, cell) * (LEAST_REPEATS + 1) > budget.cap_s():
                rest: Sequence[Cell] = series[index:]
                skipped += rest
                budget.done(len(rest))
                advance(len(rest))
                break
            last = timed(cell)
            tables.append(last)
    return Results(tuple(tables), line, tuple(skipped))


def expected_s(last: Measurement, cell: Cell) -> float:
    """Return how long a cell should take by the smaller one before it."""
    before, after = last.cell.work(), cell.work()
    ratios = [b / a for a, b in zip(before, after, strict=True) if a > 0]
    return last.seconds * max(ratios, default=1.0)
