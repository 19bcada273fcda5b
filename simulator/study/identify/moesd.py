"""MoESD's ten parameters as unknowns: which values agree with the measurements of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.performance import NAMES, Points, Prediction, evaluate, jacobian
from simulator.speculation.theory import speedup
from simulator.study.identify.kinds import KINDS
from simulator.study.identify.prior import Prior
from simulator.study.identify.rows import Row, points_of

Floats = NDArray[np.float64]

MOST_ASSIGNMENTS = 2_000_000
"""Combinations of levels that are looked at; ten parameters of three levels have 59,049."""

_BLOCK = 16
"""Rows that are compared at once; most combinations fail the first block."""

_FIELDS = {
    "speedup": "speedup",
    "ar_step_time": "ar_step_s",
    "verify_step_time": "verify_step_s",
    "draft_step_time": "draft_step_s",
    "reject_time": "reject_s",
}
"""Kinds of measurements as the model's predictions."""


@dataclass(frozen=True, slots=True)
class Agreeing:
    """Combinations of levels that no measurement tells from the true one.

    Parameters
    ----------
    assignments
        The ten parameters, shape (n, 10); the true combination among them.
    unique_after
        Rows of the plan, in its order, after which only the true combination was left; None if
        others are left in the end.
    """

    assignments: Floats
    unique_after: int | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows as arrays, for many evaluations.

    Parameters
    ----------
    points
        Operating point of each row.
    kinds
        What each row measures, shape (m,).
    """

    points: Points
    kinds: NDArray[np.str_]

    @classmethod
    def of(cls, prior: Prior, rows: Sequence[Row]) -> Sheet:
        """Read rows."""
        points = points_of(rows, prior.experts, prior.ridge_flop_per_byte)
        return cls(points, np.array([row.kind for row in rows], str))

    def pick(self, predicted: Prediction) -> Floats:
        """Take of each row what it measures; rows along the first axis."""
        values = np.zeros_like(predicted.speedup)
        for kind in KINDS:
            chosen = self.kinds == kind
            values[chosen] = getattr(predicted, _FIELDS[kind])[chosen]
        return values

    def relative_jacobian(self, theta: Floats) -> Floats:
        """Differentiate logarithms of readings by those of the parameters, shape (m, 10)."""
        predicted, derivatives = evaluate(theta, self.points)
        return self.pick(derivatives) * theta / self.pick(predicted)[:, None]


def readings(theta: Floats, prior: Prior, rows: Sequence[Row]) -> Floats:
    """Return what the rows would measure under one set of parameters, shape (m,)."""
    sheet = Sheet.of(prior, rows)
    return sheet.pick(evaluate(theta, sheet.points)[0])


def relative_jacobian(theta: Floats, prior: Prior, rows: Sequence[Row]) -> Floats:
    """Differentiate the logarithms of readings by those of the parameters, shape (m, 10)."""
    return Sheet.of(prior, rows).relative_jacobian(theta)


def agreeing(prior: Prior, rows: Sequence[Row]) -> Agreeing:
    """Find the combinations of levels that agree with all rows within their tolerances.

    Step times are linear in the eight time parameters once lambda and s are given, so one
    evaluation of the model serves all combinations of the eight.

    Parameters
    ----------
    prior
        The levels; the middle ones are the truth.
    rows
        The plan.

    Raises
    ------
    ConfigError
        If there are too many combinations.
    """
    levels = [np.array(values) for values in prior.levels.values()]
    count = int(np.prod([len(values) for values in levels]))
    if count > MOST_ASSIGNMENTS:
        raise ConfigError(
            f"{count:,} combinations of levels are more than {MOST_ASSIGNMENTS:,}; give fewer "
            "levels, or a single one to parameters that you know."
        )
    truth = readings(prior.middle, prior, rows)
    times = _combinations(levels[:8])
    kept, last = [], 0
    for lambda_, s in product(levels[8], levels[9]):
        found, ruled_out_by = _agree(times, float(lambda_), float(s), truth, prior, rows)
        shape = np.full((len(found), 1), 1.0)
        kept.append(np.hstack([found, lambda_ * shape, s * shape]))
        last = max(last, ruled_out_by)
    assignments = np.vstack(kept)
    return Agreeing(assignments, last if len(assignments) == 1 else None)


def _agree(
    times: Floats, lambda_: float, s: float, truth: Floats, prior: Prior, rows: Sequence[Row]
) -> tuple[Floats, int]:
    """Return the time parameters that agree, and the number of rows after which the last failed."""
    last = 0
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        predicted = readings_of_all(times, lambda_, s, prior, block)
        tolerance = np.array([row.tolerance for row in block])
        off = np.abs(predicted / truth[start : start + len(block)] - 1.0) > tolerance
        failed = off.any(axis=1)
        if failed.any():
            last = start + int(off[failed].argmax(axis=1).max()) + 1
        times = times[~failed]
    return times, last


def readings_of_all(
    times: Floats, lambda_: float, s: float, prior: Prior, rows: Sequence[Row]
) -> Floats:
    """Return what rows would measure under many sets of time parameters at one lambda and s.

    Parameters
    ----------
    times
        The eight time parameters, shape (n, 8).
    lambda_, s
        The other two.
    prior
        Says experts and ridge point.
    rows
        What is measured, m rows.

    Returns
    -------
    ndarray
        Shape (n, m).
    """
    sheet = Sheet.of(prior, rows)
    points = sheet.points
    per_unit = jacobian(np.array([*np.ones(8), lambda_, s]), points)
    plain, verify, draft, reject = (times @ by_time[:, :8].T for by_time in per_unit[:4])
    tokens = points.sigma * (points.gamma + 1.0)
    ratio = speedup(tokens, points.gamma * draft / plain, verify / plain, reject / plain)
    of_rows = Prediction(*(values.T for values in (plain, verify, draft, reject, ratio)))
    return sheet.pick(of_rows).T


def _combinations(levels: Sequence[Floats]) -> Floats:
    """Return every combination of levels, shape (n, number of parameters)."""
    grid = np.meshgrid(*levels, indexing="ij")
    return np.stack([values.ravel() for values in grid], axis=1)


def pinned(assignments: Floats, prior: Prior) -> dict[str, float]:
    """Return the parameters on which all agreeing combinations agree, with their values."""
    same = (assignments == assignments[:1]).all(axis=0)
    return {
        name: float(value)
        for name, value, fixed in zip(NAMES, prior.middle, same, strict=True)
        if fixed
    }
