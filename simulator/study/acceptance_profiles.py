"""Acceptance profiles against the acceptance lengths they come from, and beyond.

A shape has two free parameters per task: level and decay along the draft. Where conditional rates
rise along the draft, no decay does that: requests that draft well are the ones that get far. There
the decay is 1, and the spread of requests is free instead.

To extrapolate, draft lengths 1 to 3 are fitted and longer ones predicted, beside a single
acceptance rate fitted to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.speculation.candidates import Candidates
from simulator.speculation.profiled import AcceptanceShape, ProfiledAcceptance
from simulator.speculation.profiles import profile_names, read_profile, task_offsets

FITTED, EXTRAPOLATED_FROM = 5, 3
"""Longest draft that profiles are fitted to, and to extrapolate from (kind: assumed)."""

_LEVELS, _DECAYS, _SPREADS = (-7.0, 7.0), (0.05, 1.0), (0.0, 4.0)
"""Bounds of the parameters of fits (kind: assumed)."""
_NO_DECAY = 0.999
"""A decay above counts as none."""


def lengths_of(shape: AcceptanceShape, gammas: Sequence[int]) -> NDArray[np.float64]:
    """Return the mean acceptance length of a shape by draft length, tokens."""
    model = ProfiledAcceptance(shape, Candidates())
    return np.array([model.tokens_per_round(gamma) for gamma in gammas])


def fit_shape(lengths: Mapping[int, float], common: AcceptanceShape) -> AcceptanceShape:
    """Fit a shape to mean acceptance lengths by draft length, by least squares.

    Parameters
    ----------
    lengths
        At least two draft lengths, tokens.
    common
        What is not fitted: gain, stretches, and the spread where rates fall along the draft.

    Examples
    --------
    >>> falling = fit_shape({1: 1.8, 2: 2.28, 3: 2.48}, AcceptanceShape(level=0.0))
    >>> round(falling.decay, 2), lengths_of(falling, [1, 2, 3]).round(2).tolist()
    (0.73, [1.8, 2.28, 2.48])
    """
    gammas, measured = list(lengths), np.array(list(lengths.values()))

    def errors(shape: AcceptanceShape) -> NDArray[np.float64]:
        found: NDArray[np.float64] = lengths_of(shape, gammas) - measured
        return found

    def with_decay(values: NDArray[np.float64]) -> AcceptanceShape:
        return replace(common, level=float(values[0]), decay=float(values[1]))

    def with_spread(values: NDArray[np.float64]) -> AcceptanceShape:
        return replace(common, level=float(values[0]), decay=1.0, spread=float(values[1]))

    bounds = np.array([_LEVELS, _DECAYS]).T
    found = least_squares(lambda values: errors(with_decay(values)), (0.5, 0.9), bounds=bounds)
    if found.x[1] < _NO_DECAY:
        return with_decay(found.x)
    bounds = np.array([_LEVELS, _SPREADS]).T
    start = (found.x[0], max(common.spread, 0.1))
    return with_spread(
        least_squares(lambda values: errors(with_spread(values)), start, bounds=bounds).x
    )


def fit_single(lengths: Mapping[int, float]) -> AcceptanceShape:
    """Fit one acceptance rate for all positions, requests and texts."""
    gammas, measured = list(lengths), np.array(list(lengths.values()))

    def at(level: float) -> AcceptanceShape:
        return AcceptanceShape(level=level)

    found = least_squares(
        lambda values: lengths_of(at(float(values[0])), gammas) - measured, [0.5], bounds=_LEVELS
    )
    return at(float(found.x[0]))


@dataclass(frozen=True, slots=True)
class ProfileCheck:
    """A task of a profile against its published acceptance lengths, tokens.

    Parameters
    ----------
    profile, task
        Which.
    gammas
        Draft lengths that were measured.
    measured, fitted
        Acceptance lengths, published and of the shipped shape.
    extrapolated, single
        Beyond `EXTRAPOLATED_FROM`: of a shape and of a single rate fitted up to it; empty where
        nothing longer was measured.
    """

    profile: str
    task: str
    gammas: tuple[int, ...]
    measured: tuple[float, ...]
    fitted: tuple[float, ...]
    extrapolated: tuple[float, ...]
    single: tuple[float, ...]

    @property
    def fit_error(self) -> float:
        """Largest error at draft lengths up to `FITTED`."""
        errors = np.abs(np.subtract(self.fitted, self.measured))
        return float(errors[np.array(self.gammas) <= FITTED].max())

    def beyond(self, predicted: Sequence[float]) -> list[float]:
        """Return the absolute errors of predictions at the longer draft lengths."""
        longer = [
            value
            for gamma, value in zip(self.gammas, self.measured, strict=True)
            if gamma > EXTRAPOLATED_FROM
        ]
        pairs = zip(predicted, longer, strict=False)
        return [abs(expected - value) for expected, value in pairs]


def check_profiles() -> list[ProfileCheck]:
    """Compare every shipped profile with what it was fitted to."""
    found = []
    for name in profile_names():
        profile = read_profile(name)
        for task, measured in profile.tasks.items():
            gammas = tuple(sorted(measured.lengths))
            known = {gamma: measured.lengths[gamma] for gamma in gammas}
            short = {gamma: length for gamma, length in known.items() if gamma <= EXTRAPOLATED_FROM}
            longer = [gamma for gamma in gammas if gamma > EXTRAPOLATED_FROM]
            extrapolated, single = np.empty(0), np.empty(0)
            if longer:
                extrapolated = lengths_of(fit_shape(short, profile.common), longer)
                single = lengths_of(fit_single(short), longer)
            found.append(
                ProfileCheck(
                    name,
                    task,
                    gammas,
                    tuple(known.values()),
                    tuple(lengths_of(measured.shape, gammas).tolist()),
                    tuple(extrapolated.tolist()),
                    tuple(single.tolist()),
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class OffsetCheck:
    """Log-odds of a task relative to coding, assumed and as one profile has them."""

    profile: str
    task: str
    assumed: float
    measured: float


def check_offsets() -> list[OffsetCheck]:
    """Compare the assumed log-odds of tasks with profiles that measured several.

    Log-odds of the first position, which the temperature does not come into: all tasks of these
    profiles were measured at the same.
    """
    offsets, found = task_offsets(), []
    for name in profile_names():
        tasks = read_profile(name).tasks
        if "coding" not in tasks:
            continue
        for task, measured in tasks.items():
            if task != "coding" and task in offsets:
                apart = _first_logit(measured.lengths) - _first_logit(tasks["coding"].lengths)
                found.append(OffsetCheck(name, task, offsets[task].value, apart))
    return found


def _first_logit(lengths: Mapping[int, float]) -> float:
    alpha = lengths[1] - 1.0
    return float(np.log(alpha / (1.0 - alpha)))


def metrics(found: Sequence[ProfileCheck]) -> dict[str, float]:
    """Return figures by flat name, in tokens, for ``summary.json``."""
    beyond = np.concatenate([check.beyond(check.extrapolated) for check in found])
    single = np.concatenate([check.beyond(check.single) for check in found])
    figures = {f"fit_error_{check.profile}_{check.task}": check.fit_error for check in found}
    return {
        "fit_error_max": max(check.fit_error for check in found),
        "extrapolation_error_median": float(np.median(beyond)),
        "extrapolation_error_max": float(beyond.max()),
        "single_rate_error_median": float(np.median(single)),
        "single_rate_error_max": float(single.max()),
        **figures,
    }
