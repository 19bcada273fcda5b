"""The fitted parameters as they may be told: unit, interval, bound, whether the data tell them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.performance import NAMES, TIME_NAMES, Points, evaluate
from simulator.study.calibration.bounds import Bounds
from simulator.study.calibration.solve import at_bounds
from simulator.study.intervals import Determined

Floats = NDArray[np.float64]

PLAIN_STEP = "plain step"
"""Unit of times whose scale in seconds the data leave free."""

_PLACES = {-1: "lower", 0: "", 1: "upper"}

_VISIBLE_TIME = 1e-3
"""Times below this share of a plain step are weighed as if they were that large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One parameter of a fit.

    Parameters
    ----------
    name
        As the paper calls it.
    value
        In ``unit``.
    low, high
        95 % interval, cut at the parameter's bounds; infinite where the data do not tell it or are
        no more than the unknowns, and the value itself at a bound, where it is held.
    unit
        ``"s"``, `PLAIN_STEP` or ``"1"``.
    bound
        ``"lower"`` or ``"upper"`` if it lies at one, ``"fixed"`` if it was not varied, else ``""``.
    determined
        Whether the data tell it, to first order, bounds left aside.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    bound: str
    determined: bool


def change_units(theta: Floats, step_s: float) -> Floats:
    """Return changes of the ten that are alike in weight: relative ones, of a visible value."""
    units = np.abs(theta)
    units[: len(TIME_NAMES)] = np.maximum(units[: len(TIME_NAMES)], _VISIBLE_TIME * step_s)
    return units


def estimates(
    theta: Floats,
    slopes: Floats,
    sum_of_squares: float,
    bounds: Bounds,
    step: Points | None,
    step_s: float,
) -> Iterator[Estimate]:
    """Yield the ten parameters.

    Parameters
    ----------
    theta, slopes, sum_of_squares
        The solution, derivatives of the residuals there (m, 10), and their sum of squares.
    bounds
        Of the search.
    step
        The plain step that is the unit of times if the data leave seconds free; None if not.
    step_s
        Its time, or that of another typical plain step, s.
    """
    places, units = at_bounds(theta, bounds, step_s), change_units(theta, step_s)
    inside, varied = places == 0, bounds.low < bounds.high
    told = Determined(slopes[:, varied], units[varied])
    conditional = Determined(slopes[:, inside], units[inside])
    for index, name in enumerate(NAMES):
        scaled = name in TIME_NAMES and step is not None
        scale, change = 1.0, np.eye(len(NAMES))[index]
        low, high = bounds.low[index], bounds.high[index]
        if scaled and step is not None:  # a ratio: seconds drop out, and bounds in seconds with it
            by_step = evaluate(theta, step)[1].ar_step_s[0]
            scale, low, high = 1.0 / step_s, 0.0, math.inf
            change = change / step_s - theta[index] * by_step / step_s**2
        half = 0.0
        if inside[index]:
            half = conditional.half_width(change[inside], sum_of_squares)
        value = float(theta[index] * scale)
        fixed = not varied[index]
        yield Estimate(
            name=name,
            value=value,
            low=max(value - half, float(low)) if math.isfinite(half) else -math.inf,
            high=min(value + half, float(high)) if math.isfinite(half) else math.inf,
            unit=_unit(name, scaled),
            bound="fixed" if fixed else _PLACES[int(places[index])],
            determined=fixed or told.holds(change[varied]),
        )


def _unit(name: str, scaled: bool) -> str:
    if name not in TIME_NAMES:
        return "1"
    return PLAIN_STEP if scaled else "s"
