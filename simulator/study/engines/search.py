"""Which unknowns measured rows determine, and what they come out at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.study.engines.observations import LINEAR, Observed, defaults
from simulator.study.engines.overlap_fit import KEYS as EXPONENTS
from simulator.study.engines.unknowns import BY_KEY, FRACTION, MOST_FRACTION, Unknown
from simulator.study.intervals import half_widths

DETERMINED = 1.0
"""Least singular value of the unknowns kept together: moving along any direction of them by its
whole scale (a fraction by itself, an overhead by all of a row's time) must move the rows by more
than one standard error."""

SHOWS = 0.01
"""Least share of a measured time that kernels at full speed take for it to tell their speed."""

WITHIN = EXPONENTS[0]
"""The exponent that times may tell."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A fitted figure.

    Parameters
    ----------
    unknown
        Which.
    value, half_width
        Its value, and half of its 95 % interval (None where the rows leave nothing over to tell).
    at_bound
        Whether it lies at a physical bound.
    """

    unknown: Unknown
    value: float
    half_width: float | None
    at_bound: bool = False

    @property
    def weak(self) -> bool:
        """Whether its interval spans zero, so that the rows tell little more than its size."""
        return self.half_width is not None and self.half_width > abs(self.value)


class Search:
    """Chooses which unknowns the rows determine, and solves for them.

    Parameters
    ----------
    observed
        The rows.
    wanted
        Linear unknowns in the order in which they are tried.
    by_time
        Whether the exponent within requests is one more.
    """

    def __init__(self, observed: Observed, wanted: Sequence[Unknown], by_time: bool) -> None:
        self._observed, self._linear = observed, observed.linear()
        self._wanted = [*wanted, *([BY_KEY[WITHIN]] if by_time else [])]
        self._column = {unknown.key: number for number, unknown in enumerate(LINEAR)}
        self._held = defaults(observed.base)

    def hold_at_zero(self, unknown: Unknown) -> None:
        """Take an overhead for none."""
        self._held[self._column[unknown.key]] = 0.0

    def start(self) -> NDArray[np.float64]:
        """Return x with one common slowdown that meets the rows, overheads as they are held."""
        x, linear = self._held.copy(), self._linear
        fractions = [self._column[u.key] for u in LINEAR if u.kind == FRACTION]
        speed = linear.slopes[:, fractions].sum(axis=1)
        rest = linear.at(x) - linear.slopes[:, fractions] @ x[fractions]
        told = speed > SHOWS * self._observed.seconds
        ratios = (self._observed.seconds - rest)[told] / speed[told]
        if ratios.size:
            x[fractions] = max(float(np.median(ratios)), 1 / MOST_FRACTION)
        return x

    def choose(self, x: NDArray[np.float64]) -> list[Unknown]:
        """Return the unknowns that the rows determine together, near x."""
        chosen: list[Unknown] = []
        columns: list[NDArray[np.float64]] = []
        for unknown in self._wanted:
            column = self._effect(unknown, x)
            if column is None:
                continue
            trial = np.array([*columns, column]).T
            if len(trial) < trial.shape[1]:
                break
            if np.linalg.svd(trial, compute_uv=False)[-1] >= DETERMINED:
                chosen.append(unknown)
                columns.append(column)
        return chosen

    def _effect(self, unknown: Unknown, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return what moving an unknown by its scale does, in standard errors of the rows."""
        observed = self._observed
        seconds = observed.seconds
        if unknown.key == WITHIN:
            near, far = (observed.linear(w).at(x) for w in (0.9, 0.7))
            return np.asarray((near - far) / 0.2 / seconds / observed.noise)
        number = self._column[unknown.key]
        slope = self._linear.slopes[:, number] / seconds
        if unknown.kind == FRACTION:
            return np.asarray(slope * x[number] / observed.noise)
        most = float(np.abs(slope).max(initial=0.0))
        return np.asarray(slope / most / observed.noise) if most > 0 else None

    def solve(self, chosen: Sequence[Unknown]) -> list[Estimate]:
        """Solve for the chosen unknowns; figures held elsewhere stay as they are."""
        if not chosen:
            return []
        linear = [u for u in chosen if u.key != WITHIN]
        numbers = [self._column[u.key] for u in linear]
        by_time = len(linear) < len(chosen)
        observed = self._observed

        def errors(values: NDArray[np.float64]) -> NDArray[np.float64]:
            x = self._held.copy()
            x[numbers] = values[: len(numbers)] * scale[: len(numbers)]
            within = float(values[-1]) if by_time else None
            linear_s = self._linear if within is None else observed.linear(within)
            relative = linear_s.at(x) / observed.seconds - 1
            return np.asarray(relative / observed.noise)

        start, scale, low, high = self._problem(linear, by_time)
        found = least_squares(errors, start, bounds=(low, high), x_scale="jac", diff_step=1e-4)
        jacobian = found.jac / scale
        values = found.x * scale
        for place, unknown in enumerate(linear):  # x = 1 / f, so dx = -df / f^2
            if unknown.kind == FRACTION:
                jacobian[:, place] *= -(values[place] ** 2)
        widths = half_widths(jacobian, found.fun)
        return [
            Estimate(u, float(1 / v if u.kind == FRACTION else v), width, bool(active))
            for u, v, width, active in zip(chosen, values, widths, found.active_mask, strict=True)
        ]

    def _problem(self, linear: Sequence[Unknown], by_time: bool) -> tuple[NDArray[np.float64], ...]:
        """Return start, scale and bounds of x over its scale."""
        x = self.start()
        least_s = float(self._observed.seconds.min())
        scale, start, low, high = [], [], [], []
        for unknown in linear:
            if unknown.kind == FRACTION:
                at = x[self._column[unknown.key]]
                scale.append(at)
                low.append(1 / unknown.high / at)
                high.append(1 / unknown.low / at)
                start.append(float(np.clip(1.0, low[-1] * 1.001, high[-1] * 0.999)))
            else:
                scale.append(1e-2 * least_s)
                low.append(-np.inf)
                high.append(np.inf)
                start.append(1.0)
        if by_time:
            unknown = BY_KEY[WITHIN]
            scale, start = [*scale, 1.0], [*start, 0.8]
            low, high = [*low, unknown.low], [*high, unknown.high]
        return np.array(start), np.array(scale), np.array(low), np.array(high)
