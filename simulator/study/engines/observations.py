"""Measured times as linear functions of what an engine profile leaves open.

With the active experts given, the cost model is linear in the host overheads and in the inverses of
the two fractions (`costs.engine.Engine.slowdown`)::

    T = base + sum_j A_j x_j,  x_j = 1 / fraction, or an overhead

so its coefficients are differences of the cost model itself, and a fit has one optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.costs.engine import Engine
from simulator.experts.laws import Overlap
from simulator.study.engines.step_rows import StepRow
from simulator.study.engines.times import Bench
from simulator.study.engines.unknowns import FRACTION, UNKNOWNS, Unknown

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
    """Times as ``base + slopes @ x``; one row per time, one column per `LINEAR` unknown."""

    base: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the times, s."""
        return self.base + self.slopes @ x

    def between(self, other: Linear, share: float) -> Linear:
        """Return what lies between this and another."""
        return Linear(
            (1 - share) * self.base + share * other.base,
            (1 - share) * self.slopes + share * other.slopes,
        )


class Coefficients:
    """Coefficients of rows, derived from the cost model once and kept.

    Parameters
    ----------
    bench
        What the rows ran on.
    base
        The profile whose other figures hold.
    """

    def __init__(self, bench: Bench, base: Engine) -> None:
        self.bench, self.base = bench, base
        self._kept: dict[tuple[object, ...], Linear] = {}

    def of(self, row: StepRow, within: float | None = None) -> Linear:
        """Return target, draft and host time of a row, its measured active experts given.

        Parameters
        ----------
        row
            The row.
        within
            Exponent of the overlap law if none were measured, interpolated on `EXPONENTS`; None
            for the law of the model.
        """
        if within is None:
            return self._at(row, None)
        above = int(np.clip(np.searchsorted(EXPONENTS, within), 1, len(EXPONENTS) - 1))
        low, high = EXPONENTS[above - 1], EXPONENTS[above]
        share = (within - low) / (high - low)
        return self._at(row, float(low)).between(self._at(row, float(high)), share)

    def _at(self, row: StepRow, within: float | None) -> Linear:
        step = (row.model, row.gamma, row.batch, row.context_tokens, row.active_experts)
        key = (*step, within)  # not the times that were measured
        if key not in self._kept:
            self._kept[key] = self._derive(row, None if within is None else Overlap(within))
        return self._kept[key]

    def _derive(self, row: StepRow, law: Overlap | None) -> Linear:
        def times(figures: Mapping[str, Any]) -> NDArray[np.float64]:
            engine = replace(self.base, **figures)
            return np.array(self.bench.times(row, engine, law, given_experts=True))

        start = {unknown.attribute: _first(unknown) for unknown in LINEAR}
        at_start = times(start)
        columns, base = [], at_start.copy()
        for unknown in LINEAR:
            fraction = unknown.kind == FRACTION
            moved = times(start | {unknown.attribute: 0.5 if fraction else _STEP_S})
            slope = (moved - at_start) / (1.0 if fraction else _STEP_S)
            columns.append(slope)
            base -= slope * start[unknown.attribute]
        return Linear(base, np.array(columns).T)


class Observed:
    """Rows that a profile is fitted to, with what the cost model says of them.

    Parameters
    ----------
    rows
        The rows.
    coefficients
        Where theirs come from.
    """

    def __init__(self, rows: Sequence[StepRow], coefficients: Coefficients) -> None:
        self.base = coefficients.base
        self._rows, self._coefficients = list(rows), coefficients
        self._all = observations(self._rows)
        self.seconds = np.array([one.seconds for one in self._all])
        self.noise = np.array([one.noise for one in self._all])

    def linear(self, within: float | None = None) -> Linear:
        """Return the observed times as a linear function; ``within`` as in `Coefficients.of`."""
        by_row = [self._coefficients.of(row, within) for row in self._rows]
        parts = [(by_row[one.row], _PARTS[one.part]) for one in self._all]
        return Linear(
            np.array([found.base[part].sum() for found, part in parts]),
            np.array([found.slopes[part].sum(axis=0) for found, part in parts]),
        )


_PARTS = {
    "target_s": slice(0, 1),
    "draft_s": slice(1, 2),
    "host_s": slice(2, 3),
    "step_s": slice(0, 3),
}
"""Where observed parts stand in `StepTimes`."""

EXPONENTS = np.linspace(0.05, 1.0, 20)
"""Exponents of the overlap law at which rows without active experts are priced."""


def _first(unknown: Unknown) -> float:
    """Return where coefficients are taken from: full speed, no overhead."""
    return 1.0 if unknown.kind == FRACTION else 0.0


def defaults(base: Engine) -> NDArray[np.float64]:
    """Return the x of a profile: inverses of fractions, and overheads."""
    values = [(unknown, getattr(base, unknown.attribute)) for unknown in LINEAR]
    return np.array([1 / value if u.kind == FRACTION else value for u, value in values])
