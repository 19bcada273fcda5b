"""Calibration of an engine profile: fit, left-out checks, predictions of other rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.costs.engine import Engine
from simulator.experts.laws import Overlap
from simulator.study.engines.fit import EngineFit, fit_engine
from simulator.study.engines.observations import Coefficients
from simulator.study.engines.step_rows import LEAST_ROWS, StepRow
from simulator.study.engines.times import Bench, StepTimes
from simulator.trace.json_file import Json


@dataclass(frozen=True, slots=True)
class Predicted:
    """A measured row beside what the cost model says of it.

    Parameters
    ----------
    row
        What was measured.
    times
        As predicted, active experts from the routing law.
    given_s
        The whole step with the measured active experts as input, s.
    """

    row: StepRow
    times: StepTimes
    given_s: float

    @property
    def error(self) -> float:
        """Relative error of the whole step."""
        return self.times.step_s / self.row.step_s - 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fit, and how well it does.

    Parameters
    ----------
    fit
        The fit.
    predicted
        All rows of the file.
    left_out
        Relative errors of the fitted rows' steps, each predicted by a fit to the others.
    """

    fit: EngineFit
    predicted: tuple[Predicted, ...]
    left_out: tuple[float, ...]

    def mape(self, role: str, *, given_experts: bool = False) -> float | None:
        """Return the mean absolute error of whole steps over the rows of a role."""
        found = [
            one.given_s / one.row.step_s - 1 if given_experts else one.error
            for one in self.predicted
            if one.row.role == role
        ]
        return mean_size(found)


def mean_size(errors: Sequence[float]) -> float | None:
    """Return the mean absolute value; None of none."""
    return float(np.mean(np.abs(errors))) if errors else None


def calibrate(
    rows: Sequence[StepRow],
    bench: Bench,
    base: Engine,
    *,
    eager: bool,
    advance: Callable[[], None] = lambda: None,
) -> Calibration:
    """Fit the rows to be fitted, predict all, and each fitted one from the others.

    Parameters
    ----------
    rows, bench, base, eager
        As in `fit_engine`; rows of role ``check`` are predicted only.
    advance
        Called after every fit, of which there are one more than rows to fit.
    """
    fitted = [row for row in rows if row.role == "calibrate"]
    known = Coefficients(bench, base)
    fit = fit_engine(fitted, bench, base, eager=eager, coefficients=known)
    advance()
    left_out = []
    for row in fitted:
        others = [other for other in fitted if other is not row]
        if len(others) >= LEAST_ROWS:
            found = fit_engine(others, bench, base, eager=eager, coefficients=known)
            left_out.append(predict(row, bench, found.engine).error)
        advance()
    predicted = tuple(predict(row, bench, fit.engine) for row in rows)
    return Calibration(fit, predicted, tuple(left_out))


def predict(row: StepRow, bench: Bench, engine: Engine) -> Predicted:
    """Predict a row under a profile, active experts from the law that was calibrated with it."""
    law = law_of(engine)
    times = bench.times(row, engine, law)
    given = bench.times(row, engine, law, given_experts=True)
    return Predicted(row, times, given.step_s)


def law_of(engine: Engine) -> Overlap | None:
    """Return the routing law calibrated with a profile; None leaves each model its own."""
    within, across = engine.routing_within_request, engine.routing_across_requests
    if within is None and across is None:
        return None
    return Overlap(within or 1.0, across or 1.0, engine.routing_prompt)


def figures(calibration: Calibration) -> Json:
    """Return the figures of a calibration for ``summary.json``."""
    fit = calibration.fit
    return {
        "fitted_rows": fit.rows,
        "parameters": {
            one.unknown.key: {
                "value": one.value,
                "half_width": one.half_width,
                "unit": one.unknown.unit,
                "at_bound": one.at_bound,
            }
            for one in fit.estimates
        },
        "negative": {one.unknown.key: one.value for one in fit.refused},
        "undetermined": {one.key: one.measure for one in fit.undetermined},
        "rows": [
            {
                "line": one.row.line,
                "model": one.row.model,
                "gamma": one.row.gamma,
                "batch": one.row.batch,
                "role": one.row.role,
                "measured_s": one.row.step_s,
                "predicted_s": one.times.step_s,
                "predicted_given_experts_s": one.given_s,
            }
            for one in calibration.predicted
        ],
    }
