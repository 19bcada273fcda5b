"""The fit of the ten parameters, and what it may be believed to say.

Speedups are ratios: they leave the scale of seconds free, however many they are. A fit to them
alone is told in units of one plain step, ``T_T(B, 1)`` at the smallest batch measured, and gives no
seconds. Intervals are linearised at the solution, with parameters at a bound held there, and given
only for what the data determine to first order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.performance import NAMES, TIME_NAMES, Points, Prediction, evaluate
from simulator.study.calibration.bounds import Bounds
from simulator.study.calibration.estimates import Estimate, change_units, estimates
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements
from simulator.study.calibration.missing import missing
from simulator.study.calibration.solve import Noise, Solution, residuals, solve
from simulator.study.identify.rank import Identifiability, identifiability

Floats = NDArray[np.float64]

STARTS = 12
"""Starts of the search by default."""

SCALE_WORDS = "all times scale together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fit of the ten parameters.

    Parameters
    ----------
    measured
        What was fitted.
    bounds, noise
        Bounds of the parameters, and the errors of measurement assumed.
    solution
        Where the search ended.
    estimates
        The ten, by name.
    identifiability
        Rank and null directions of the residuals' Jacobian by the parameters that were varied,
        their bounds left aside.
    plain_step
        The plain step that times are told in; None if they are told in seconds.
    missing
        Further values that would determine what is free, in words.
    """

    measured: Measurements
    bounds: Bounds
    noise: Noise
    solution: Solution
    estimates: dict[str, Estimate]
    identifiability: Identifiability
    plain_step: Points | None
    missing: tuple[str, ...]

    @property
    def scale_free(self) -> bool:
        """Whether the data leave the scale of seconds free."""
        return self.plain_step is not None

    def predict(self, points: Points) -> Prediction:
        """Evaluate the fitted model; its seconds mean nothing if their scale is free."""
        return evaluate(self.solution.theta, points)[0]

    def errors(self, *names: str) -> Floats:
        """Return predicted minus measured of some quantities, times relative, shape (m,)."""
        found, parts = self.predict(self.measured.points), []
        for name in names or QUANTITIES:
            seen = self.measured.values[name]
            gap = getattr(found, name) - seen
            parts.append((gap / seen if name in TIMES else gap)[np.isfinite(seen)])
        return np.concatenate(parts)


def half_sse(errors: Floats) -> float:
    """Half the sum of squares: what MoESD minimises, and reports as "MSE"."""
    return float(0.5 * np.sum(errors**2))


def fit(
    measured: Measurements,
    bounds: Bounds,
    noise: Noise | None = None,
    *,
    starts: int = STARTS,
    seed: int = 0,
) -> Fit:
    """Fit the ten parameters by bounded least squares, and judge the result.

    Parameters
    ----------
    measured
        Speedups, times or both.
    bounds
        Of the parameters.
    noise
        Errors of measurement; they weigh speedups against times.
    starts, seed
        Of the search.
    """
    noise = noise or Noise()
    solution = solve(measured, bounds, noise, starts, seed)
    theta, points = solution.theta, measured.points
    smallest = measured.rows(np.array([int(np.argmin(points.batch))])).points
    step_s = float(evaluate(theta, smallest)[0].ar_step_s[0])
    plain_step = None if measured.count(*TIMES) else smallest
    slopes = residuals(theta, measured, noise).jacobian
    units = change_units(theta, step_s)
    scaling = np.where(np.arange(len(NAMES)) < len(TIME_NAMES), theta, 0.0)
    told = estimates(theta, slopes, 2 * solution.cost, bounds, plain_step, step_s)
    varied = bounds.low < bounds.high
    names = [name for name, free in zip(NAMES, varied, strict=True) if free]
    known = identifiability(
        (slopes * units)[:, varied], names, {SCALE_WORDS: (scaling / units)[varied]}
    )
    return Fit(
        measured=measured,
        bounds=bounds,
        noise=noise,
        solution=solution,
        estimates={estimate.name: estimate for estimate in told},
        identifiability=known,
        plain_step=plain_step,
        missing=missing(slopes, theta, points, np.where(varied, units, 0.0)),
    )
