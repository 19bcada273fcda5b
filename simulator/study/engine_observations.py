"""Measured times as linear functions of what an engine profile leaves open.

With the active experts given, the cost model is linear in the host overheads and in the inverses of
the two fractions (`costs.engine.Engine.slowdown`)::

    T = base + sum_j A_j x_j,  x_j = 1 / fraction, or an overhead

so its coefficients are differences of the cost model itself, and a fit has one optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.costs.engine import Engine
from simulator.experts.laws import Overlap
from simulator.study.engine_times import Bench, StepTimes
from simulator.study.engine_unknowns import FRACTION, UNKNOWNS, Unknown
from simulator.study.step_rows import StepRow

HOST_NOISE = 0.1
"""Relative standard error of what a step takes beyond its passes: it is a difference of medians,
each of them an order of magnitude larger (kind: assumed)."""

LINEAR = tuple(unknown for unknown in UNKNOWNS if unknown.kind != "exponent")
"""Unknowns that times are linear in, in order."""

_STEP_S = 1e-3
"""Overhead at which a coefficient is taken; any would do."""


class Observation(NamedTuple):
    """One measured time: a part of a row's step, or the whole of it.

    Parameters
    ----------
    row
        Number of the row among those that are fitted.
    part
        ``"target_s"``, ``"draft_s"``, ``"host_s"`` or ``"step_s"``, see `StepTimes`.
    seconds, noise
        What was measured, and its relative standard error.
    """

    row: int
    part: str
    seconds: float
    noise: float


def observations(rows: Sequence[StepRow]) -> list[Observation]:
    """Take rows apart: by part where parts were measured, whole otherwise."""
    return [found for number, row in enumerate(rows) for found in _observe(number, row)]


def _observe(number: int, row: StepRow) -> Iterator[Observation]:
    noise = row.noise
    drafted = row.draft_s is not None or not row.gamma
    if row.target_s is not None:
        yield Observation(number, "target_s", row.target_s, noise)
    if row.draft_s is not None:
        yield Observation(number, "draft_s", row.draft_s, noise)
    host_s = row.step_s - (row.target_s or 0.0) - (row.draft_s or 0.0)
    if row.target_s is not None and drafted and host_s > 0:
        yield Observation(number, "host_s", host_s, float(np.hypot(noise, HOST_NOISE)))
    else:
        yield Observation(number, "step_s", row.step_s, noise)


@dataclass(frozen=True, slots=True)
class Linear:
    """Times as ``base + slopes @ x``; one row per observation, one column per `LINEAR` unknown."""

    base: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the times, s."""
        return self.base + self.slopes @ x


class Observed:
    """Rows that a profile is fitted to, with what the cost model says of them.

    Parameters
    ----------
    rows
        The rows.
    bench
        What they ran on.
    base
        The profile whose other figures hold.
    """

    def __init__(self, rows: Sequence[StepRow], bench: Bench, base: Engine) -> None:
        self.rows, self.base = list(rows), base
        self.all = observations(self.rows)
        self.seconds = np.array([one.seconds for one in self.all])
        self.noise = np.array([one.noise for one in self.all])
        self._bench = bench
        self._linear: dict[float | None, Linear] = {}

    def linear(self, within: float | None = None) -> Linear:
        """Return the times as a linear function, with measured active experts where there are any.

        Parameters
        ----------
        within
            Exponent of the overlap law for rows without; None for the law of the model.
        """
        if within not in self._linear:
            self._linear[within] = self._derive(within)
        return self._linear[within]

    def _derive(self, within: float | None) -> Linear:
        law = None if within is None else Overlap(within)
        start = {unknown.attribute: _first(unknown) for unknown in LINEAR}
        at_start = self._times(start, law)
        columns, base = [], at_start.copy()
        for unknown in LINEAR:
            fraction = unknown.kind == FRACTION
            moved = start | {unknown.attribute: 0.5 if fraction else _STEP_S}
            slope = (self._times(moved, law) - at_start) / (1.0 if fraction else _STEP_S)
            columns.append(slope)
            base -= slope * start[unknown.attribute]
        return Linear(base, np.array(columns).T)

    def _times(self, figures: dict[str, float], law: Overlap | None) -> NDArray[np.float64]:
        changes: dict[str, Any] = dict(figures)
        engine = replace(self.base, **changes)
        priced: list[StepTimes] = [
            self._bench.times(row, engine, law, given_experts=True) for row in self.rows
        ]
        return np.array([getattr(priced[one.row], one.part) for one in self.all])


def _first(unknown: Unknown) -> float:
    """Return where coefficients are taken from: full speed, no overhead."""
    return 1.0 if unknown.kind == FRACTION else 0.0


def defaults(base: Engine) -> NDArray[np.float64]:
    """Return the x of a profile: inverses of fractions, and overheads."""
    values = [(unknown, getattr(base, unknown.attribute)) for unknown in LINEAR]
    return np.array([1 / value if u.kind == FRACTION else value for u, value in values])
