"""An engine profile fitted to measured step times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.costs.engine import Engine
from simulator.study.engine_observations import LINEAR, Coefficients, Observed, defaults
from simulator.study.engine_times import Bench, routed_experts
from simulator.study.engine_unknowns import (
    BY_KEY,
    EAGER_ONLY,
    FRACTION,
    MOST_FRACTION,
    OVERHEAD,
    UNKNOWNS,
    Unknown,
)
from simulator.study.overlap_fit import KEYS as EXPONENTS
from simulator.study.overlap_fit import OverlapFit, fit_overlap
from simulator.study.step_rows import StepRow
from simulator.study.uncertainty import half_widths

DETERMINED = 1.0
"""Least singular value of the unknowns kept together: moving along any direction of them by its
whole scale (a fraction by itself, an overhead by all of a row's time) must move the rows by more
than one standard error."""

WITHIN = EXPONENTS[0]


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


@dataclass(frozen=True, slots=True)
class Refused:
    """An overhead that came out negative: it is held at zero, and what that says."""

    unknown: Unknown
    value: float
    half_width: float | None

    @property
    def significant(self) -> bool:
        """Whether it is below zero beyond its interval."""
        return self.half_width is None or self.value + self.half_width < 0


@dataclass(frozen=True, slots=True)
class EngineFit:
    """What a fit found.

    Parameters
    ----------
    engine
        The base profile with what was fitted in place.
    estimates
        Fitted figures.
    refused
        Overheads that came out negative.
    undetermined
        Unknowns that the rows do not determine; they stay as in the base profile.
    overlap
        Exponents fitted to active experts, if any were measured.
    rows
        Rows that were fitted.
    """

    engine: Engine
    estimates: tuple[Estimate, ...]
    refused: tuple[Refused, ...]
    undetermined: tuple[Unknown, ...]
    overlap: OverlapFit | None
    rows: int


def fit_engine(
    rows: Sequence[StepRow],
    bench: Bench,
    base: Engine,
    *,
    eager: bool,
    coefficients: Coefficients | None = None,
) -> EngineFit:
    """Fit an engine profile: relative errors of times, weighted by the spread of the rows.

    Parameters
    ----------
    rows
        Rows to fit.
    bench
        What they ran on.
    base
        Profile that holds where the rows say nothing.
    eager
        Whether the engine launches kernels one by one, so that each costs host time.
    coefficients
        Of bench and base, if they were derived before.

    Notes
    -----
    Exponents of the overlap law are fitted to measured active experts first, and these are the
    input of the cost model. Without any, the exponent within a request is fitted to the times too,
    if they determine it.
    """
    observed = Observed(rows, coefficients or Coefficients(bench, base))
    overlap = fit_overlap(rows, bench)
    by_time = _exponent_shows(rows, bench, overlap)
    wanted = [u for u in LINEAR if eager or u.key not in EAGER_ONLY]
    search = _Search(observed, wanted, by_time)
    chosen, refused = search.choose(search.start()), []
    while True:
        solution = search.solve(chosen)
        negative = [e for e in solution if e.unknown.kind == OVERHEAD and e.value < 0]
        if not negative:
            break
        worst = min(negative, key=lambda e: e.value / (e.half_width or 1e-9))
        refused.append(Refused(worst.unknown, worst.value, worst.half_width))
        chosen = [unknown for unknown in chosen if unknown is not worst.unknown]
        search.hold_at_zero(worst.unknown)
    estimates = [*solution, *_exponents(overlap)]
    settled = {e.unknown.key for e in estimates} | {r.unknown.key for r in refused}
    return EngineFit(
        engine=_engine(base, estimates, refused),
        estimates=tuple(estimates),
        refused=tuple(refused),
        undetermined=tuple(
            u for u in UNKNOWNS if u.key not in settled and (eager or u.key not in EAGER_ONLY)
        ),
        overlap=overlap,
        rows=len(rows),
    )


def _exponent_shows(rows: Sequence[StepRow], bench: Bench, overlap: OverlapFit | None) -> bool:
    """Tell whether times may depend on an exponent within requests that nothing else tells."""
    if overlap is not None:
        return False
    return any(row.gamma and routed_experts(bench.model_of(row)) for row in rows)


def _exponents(overlap: OverlapFit | None) -> list[Estimate]:
    if overlap is None:
        return []
    return [
        Estimate(BY_KEY[key], value, overlap.half_widths[key], value >= BY_KEY[key].high)
        for key, value in overlap.values.items()
    ]


def _engine(base: Engine, estimates: Sequence[Estimate], refused: Sequence[Refused]) -> Engine:
    """Return the base profile with the fitted figures.

    Verify follows plain where it was not fitted. Exponents fitted to verified tokens say nothing of
    prompts, whose tokens are taken as independent.
    """
    figures: dict[str, Any] = {r.unknown.attribute: 0.0 for r in refused}
    figures |= {e.unknown.attribute: e.value for e in estimates}
    for of in ("step", "request"):
        plain, verify = f"plain_{of}_s", f"verify_{of}_s"
        if plain in figures and verify not in figures:
            more = getattr(base, verify) - getattr(base, plain)
            figures[verify] = figures[plain] + more
    if WITHIN in figures and base.routing_prompt is None:
        figures["routing_prompt"] = 1.0
    return replace(base, **figures)


class _Search:
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
        told = speed > 0.1 * self._observed.seconds.min() * 1e-3
        ratios = (self._observed.seconds - rest)[told] / speed[told]
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
