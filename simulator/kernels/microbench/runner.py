"""Timing a plan: warm-up, repeats with cold caches, median and spread, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.device import Device
from simulator.kernels.microbench.plan import SHARES, Plan

LEAST_REPEATS, MOST_REPEATS = 3, 9
"""Repeats of a cell: at least for a median, at most because more change nothing."""

LINE_REPEATS = 31
"""Repeats of the cells of the line at most."""

MOST_SHARES = 4.0
"""A cell may take this many fair shares of the time that is left: most need far less than one."""


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
    """Shares a time among cells.

    Parameters
    ----------
    seconds
        The time.
    cells
        The cells.
    clock
        Seconds from any origin.
    """

    def __init__(self, seconds: float, cells: int, clock: Callable[[], float]) -> None:
        self._end_s = clock() + seconds
        self._left = cells
        self._clock = clock

    def fair_s(self) -> float:
        """Return what is left for each of the cells that are left."""
        return max(0.0, self._end_s - self._clock()) / max(1, self._left)

    def done(self, cells: int) -> None:
        """Count cells as timed or left out."""
        self._left -= cells


def measure(
    cells: Sequence[Cell],
    device: Device,
    budget_s: float,
    clock: Callable[[], float],
    most: int = MOST_REPEATS,
) -> tuple[Measurement, ...]:
    """Time cells in turn, round by round, so that whatever slows the machine meets all alike.

    One run of each warms up. Then rounds follow until the time is up, `LEAST_REPEATS` at least and
    ``most`` at most.
    """
    start_s = clock()
    calls = [device.prepare(cell) for cell in cells]
    for call in calls:
        device.time(call)
    samples: list[list[float]] = [[] for _ in cells]
    for done in range(most):
        if done >= LEAST_REPEATS and clock() - start_s > budget_s:
            break
        for call, found in zip(calls, samples, strict=True):
            found.append(device.time(call))
    return tuple(Measurement(c, tuple(found)) for c, found in zip(cells, samples, strict=True))


def run_plan(
    plan: Plan,
    device: Device,
    budget_s: float,
    advance: Callable[[float], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Results:
    """Time every cell of a plan, and leave out the ends of series that would take too long.

    Every operator has a share of the time (`plan.SHARES`). The first cell of a series is always
    timed, and the line always whole: the machine is judged by it.

    Parameters
    ----------
    plan, device
        What to time, on what.
    budget_s
        Time to keep to, s; making operands counts.
    advance
        Told of every cell done.
    clock
        Seconds from any origin.
    """
    left_s = (1.0 - sum(SHARES.values())) * budget_s
    line = measure(plan.line, device, left_s, clock, LINE_REPEATS)
    advance(len(line))
    tables: list[Measurement] = []
    skipped: list[Cell] = []
    for operator, several in groupby(plan.series, key=lambda series: series[0].operator):
        mine = list(several)
        budget = Budget(SHARES[operator] * budget_s, sum(map(len, mine)), clock)
        for series in mine:
            found = _run_series(series, device, budget, advance, clock)
            tables += found
            skipped += series[len(found) :]
    return Results(tuple(tables), line, tuple(skipped))


def _run_series(
    series: Sequence[Cell],
    device: Device,
    budget: Budget,
    advance: Callable[[float], None],
    clock: Callable[[], float],
) -> list[Measurement]:
    """Time the cells of a series up to the first that would take too long."""
    found: list[Measurement] = []
    for cell in series:
        fair_s = budget.fair_s()
        if found:
            expected = (1 + LEAST_REPEATS) * expected_s(found[-1], cell)
            if expected > MOST_SHARES * fair_s:
                break
        found += measure([cell], device, fair_s, clock)
        budget.done(1)
        advance(1)
    left_out = len(series) - len(found)
    budget.done(left_out)
    advance(left_out)
    return found


def expected_s(last: Measurement, cell: Cell) -> float:
    """Return how long a cell should take by the smaller one before it in its series.

    That one's median, times the ratio of their work, whichever of bytes and FLOPs grows more.
    """
    before, after = last.cell.work(), cell.work()
    ratios = [b / a for a, b in zip(before, after, strict=True) if a > 0]
    return last.seconds * max(ratios, default=1.0)
