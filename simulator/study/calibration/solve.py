"""Bounded least squares of the ten-parameter model, from several starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.speculation.performance import NAMES, evaluate
from simulator.streams import Streams
from simulator.study.calibration.bounds import Bounds
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements

Floats = NDArray[np.float64]

TOLERANCE = 1e-10
"""Relative change of cost and parameters at which the search stops."""

_MOST_STEPS = 300
"""Evaluations after which a start is given up: it crawls along a valley that the data leave flat,
and others do better."""

_SAME_COST = 1e-3
"""Starts whose costs agree to this share count as having found the same."""

_NEAR = 1e-5
"""A parameter this close to a bound, as a share of its range or of a plain step, lies at it."""

_DECADES = (-3.0, 0.0)
"""Starts of a time without bounds: a plain step times ten to a power from this range."""

_BASE_DECADES = (-3.0, -1.0)
"""Starts of s - 1, as powers of ten: larger ones overflow at large batches."""

_TYPICAL_STEP_S = 20e-3
"""Stands for a plain step where no time was measured; only starts depend on it."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Errors of measurement, one standard deviation: they weigh speedups against times.

    Parameters
    ----------
    speedup
        Of a speedup, absolute.
    time
        Of a step time, relative.
    """

    speedup: float = 0.02
    time: float = 0.02


@dataclass(frozen=True, slots=True)
class Residuals:
    """Residuals of all measured values in units of their noise, and their derivatives.

    Parameters
    ----------
    values
        (predicted - measured) / noise, shape (m,).
    jacobian
        Derivatives by the ten parameters, shape (m, 10).
    """

    values: Floats
    jacobian: Floats


def residuals(theta: Floats, measured: Measurements, noise: Noise) -> Residuals:
    """Compare a prediction with everything that was measured, in the order of `QUANTITIES`."""
    found, slopes = evaluate(theta, measured.points)
    values, rows = [], []
    for name in QUANTITIES:
        seen = measured.values[name]
        there = np.isfinite(seen)
        scale = noise.time * seen[there] if name in TIMES else noise.speedup
        values.append((getattr(found, name)[there] - seen[there]) / scale)
        rows.append(getattr(slopes, name)[there] / np.reshape(scale, (-1, 1)))
    return Residuals(np.concatenate(values), np.concatenate(rows))


@dataclass(frozen=True, slots=True)
class Solution:
    """The best point that the starts reached.

    Parameters
    ----------
    theta
        The ten parameters, times in seconds of the search (which data of ratios do not fix).
    cost
        Half the sum of squared residuals in units of noise.
    starts, agreeing
        Starts made, and those that ended at this cost.
    """

    theta: Floats
    cost: float
    starts: int
    agreeing: int


def solve(measured: Measurements, bounds: Bounds, noise: Noise, starts: int, seed: int) -> Solution:
    """Minimise half the sum of squared residuals within bounds.

    Trust-region reflective steps (scipy ``least_squares``, method ``trf``) with the exact Jacobian,
    from starts drawn by named streams: the same seed gives the same result.

    Parameters
    ----------
    measured, bounds, noise
        The problem. A parameter whose bounds coincide is fixed there.
    starts
        Number of starts, >= 1.
    seed
        Of the starts.
    """
    varied = bounds.low < bounds.high
    theta = bounds.low.copy()

    def at(x: Floats) -> Residuals:
        theta[varied] = x
        return residuals(theta, measured, noise)

    ends = []
    for start in range(starts):
        found = least_squares(
            lambda x: at(x).values,
            _start(measured, bounds, Streams(seed).block("calibrate.fit", start))[varied],
            jac=lambda x: at(x).jacobian[:, varied],
            bounds=(bounds.low[varied], bounds.high[varied]),
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=None,
            max_nfev=_MOST_STEPS,
        )
        ends.append((float(found.cost), found.x))
    best, theta[varied] = min(ends, key=lambda end: end[0])
    agreeing = sum(cost <= best * (1 + _SAME_COST) for cost, _ in ends)
    # The search nears bounds from inside and never reaches them.
    step_s = float(evaluate(theta, measured.points)[0].ar_step_s.min())
    places = at_bounds(theta, bounds, step_s)
    reached = np.where(places < 0, bounds.low, np.where(places > 0, bounds.high, theta))
    return Solution(reached, best, starts, agreeing)


def _start(measured: Measurements, bounds: Bounds, rng: np.random.Generator) -> Floats:
    """Draw a start: within finite bounds evenly in the logarithm, else in decades of a step."""
    step_s = typical_step_s(measured, bounds)
    low, high = bounds.low, bounds.high
    from_low = np.where(low > 0, low, step_s * 10 ** _DECADES[0])
    to_high = np.where(np.isfinite(high), high, step_s * 10 ** _DECADES[1])
    # A bound by the weights may exceed what a step of other measurements suggests.
    to_high = np.maximum(to_high, from_low)
    theta = from_low * (to_high / from_low) ** rng.random(len(NAMES))
    theta[9] = 1.0 + 10 ** rng.uniform(*_BASE_DECADES)
    inside = 1e-3 * np.where(np.isfinite(high), high - low, step_s)
    return np.clip(theta, low + inside, high - inside)


def typical_step_s(measured: Measurements, bounds: Bounds) -> float:
    """Return the time of a plain step to an order of magnitude, s."""
    times = measured.values["ar_step_s"]
    if np.isfinite(times).any():
        return float(np.nanmedian(times))
    loads = bounds.low[0] + bounds.low[2] * float(np.median(measured.points.experts))
    return float(2 * loads) if loads > 0 else _TYPICAL_STEP_S


def at_bounds(theta: Floats, bounds: Bounds, step_s: float) -> NDArray[np.int8]:
    """Say which parameters lie at a bound.

    Parameters
    ----------
    theta, bounds
        The solution and its bounds.
    step_s
        Time of a plain step, s, to which times near zero are compared.

    Returns
    -------
    ndarray
        -1 at the lower bound, 1 at the upper, 0 inside, shape (10,).
    """
    span = np.where(np.isfinite(bounds.high), bounds.high - bounds.low, step_s)
    low = theta - bounds.low <= _NEAR * span
    return np.where(low, -1, (bounds.high - theta <= _NEAR * span).astype(int)).astype(np.int8)
