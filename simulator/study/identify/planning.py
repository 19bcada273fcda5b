"""How well a plan will predict, before anything is measured.

The model is linearised at parameters that the prior thinks possible. Measurements of relative error
tau update the logarithms of the parameters, whose spread before is that between their outer levels
(the fit is bounded, too), and

    v = mean over the points to predict of  g' (J' J / tau^2 + S^-2)^-1 g / tau^2

is the variance of what the fit will predict there, in units of the variance of one measurement: the
integrated variance of optimal design (I-optimality), with a prior. The figure of a plan is the
median of v over 127 points of a low-discrepancy sequence in the prior.

**Limit.** A plan is flagged when v > `LIMIT` = 1: a predicted point is then known worse than by
measuring it once, and the expected squared error of predictions, 1 + v, more than doubles what the
noise alone makes. A plan with no more rows than unknowns is flagged, too: nothing is left over to
tell a wrong model or an outlier by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from simulator.study.identify.moesd import Sheet
from simulator.study.identify.prior import Prior
from simulator.study.identify.rows import Row

Floats = NDArray[np.float64]

LIMIT = 1.0
"""Largest predicted variance of a plan that is not flagged; see above."""

_POINTS_LOG2 = 7
_MOST_EXTRA = 6
"""Rows that are added at most to bring a plan below the limit."""


@dataclass(frozen=True, slots=True)
class Planning:
    """What a plan will predict, and how well.

    Parameters
    ----------
    variance
        The figure v of the plan, in units of the variance of one measurement.
    by_target
        The same at each point to predict, shape (n,).
    reasons
        Why the plan is flagged, in words; empty if it is not.
    extra
        Rows that bring v below the limit, best first, with v after each; empty if it is below, and
        as far as it got in `_MOST_EXTRA` rows.
    """

    variance: float
    by_target: Floats
    reasons: tuple[str, ...]
    extra: tuple[tuple[Row, float], ...]

    @property
    def flagged(self) -> bool:
        """Whether the plan should not be measured as it is."""
        return bool(self.reasons)


def assess(
    prior: Prior, rows: Sequence[Row], targets: Sequence[Row], candidates: Sequence[Row]
) -> Planning:
    """Say how well a plan will predict.

    Parameters
    ----------
    prior
        What is known before.
    rows
        The plan.
    targets
        What the calibrated model will be asked for; a target's tolerance is the error of a
        measurement of it.
    candidates
        Rows that could be added.

    Returns
    -------
    Planning
        The figure, and what to do about it.
    """
    every = [*rows, *targets, *candidates]
    sheet = Sheet.of(prior, every)
    units = prior.spread / np.array([row.tolerance for row in every])[:, None]
    felt = np.stack([sheet.relative_jacobian(theta) * units for theta in draws(prior)])
    measured, points, options = np.split(felt, [len(rows), len(rows) + len(targets)], axis=1)
    information = np.eye(felt.shape[2]) + measured.transpose(0, 2, 1) @ measured
    design = _Design(np.linalg.inv(information), points, options)
    by_target = np.median(design.variances(), axis=0)
    variance = design.figure()
    reasons = _reasons(prior, rows, targets, variance, by_target)
    extra = _extend(design, candidates) if variance > LIMIT else ()
    return Planning(variance, by_target, reasons, extra)


def draws(prior: Prior) -> Floats:
    """Return parameters that the prior thinks possible, shape (127, 10), the same every time."""
    low = np.array([values[0] for values in prior.levels.values()])
    cube = qmc.Sobol(len(low), scramble=False).random_base2(_POINTS_LOG2)[1:]
    return np.asarray(low * np.exp(math.sqrt(12.0) * prior.spread * cube))


@dataclass
class _Design:
    """Posteriors of a plan at each draw, in units of the prior's spread.

    Parameters
    ----------
    posteriors
        Covariances, shape (draws, 10, 10).
    points, options
        Derivatives of targets and candidates in units of their errors, shape (draws, n, 10).
    """

    posteriors: Floats
    points: Floats
    options: Floats

    def variances(self) -> Floats:
        """Return the variance at each target and draw, shape (draws, n)."""
        felt = self.points @ self.posteriors
        return np.asarray(np.einsum("dij,dij->di", felt, self.points))

    def figure(self) -> float:
        """Return the median over draws of the mean over targets."""
        return float(np.median(self.variances().mean(axis=1)))

    def figures_with(self) -> Floats:
        """Return the figure after adding each candidate, shape (c,), by rank-one updates."""
        moved = self.options @ self.posteriors
        spread = self.points.transpose(0, 2, 1) @ self.points / self.points.shape[1]
        gain = np.einsum("dci,dij,dcj->dc", moved, spread, moved)
        noise = 1.0 + np.einsum("dci,dci->dc", moved, self.options)
        now = self.variances().mean(axis=1)
        return np.asarray(np.median(now[:, None] - gain / noise, axis=0))

    def add(self, index: int) -> None:
        """Add a candidate to the plan."""
        row = self.options[:, index]
        moved = np.einsum("dij,dj->di", self.posteriors, row)
        noise = 1.0 + np.einsum("di,di->d", moved, row)
        self.posteriors = (
            self.posteriors - np.einsum("di,dj->dij", moved, moved) / noise[:, None, None]
        )


def _extend(design: _Design, candidates: Sequence[Row]) -> tuple[tuple[Row, float], ...]:
    """Add the candidate that helps most until the figure is within the limit."""
    extra = []
    for _ in range(_MOST_EXTRA if candidates else 0):
        figures = design.figures_with()
        best = int(figures.argmin())
        design.add(best)
        extra.append((candidates[best], float(figures[best])))
        if figures[best] <= LIMIT:
            break
    return tuple(extra)


def _reasons(
    prior: Prior,
    rows: Sequence[Row],
    targets: Sequence[Row],
    variance: float,
    by_target: Floats,
) -> tuple[str, ...]:
    unknowns = int(prior.unknown.sum())
    reasons = []
    if len(rows) <= unknowns:
        count = "as many" if len(rows) == unknowns else "fewer"
        reasons.append(
            f"{count} rows {'as' if count == 'as many' else 'than'} unknowns ({len(rows)} and "
            f"{unknowns}): no row is left over to tell a wrong model or an outlier by"
        )
    if variance > LIMIT:
        worst = targets[int(by_target.argmax())]
        reasons.append(
            f"predictions will be {variance:.3g} times as uncertain (variance) as one "
            f"measurement, most at {worst.label} ({by_target.max():.3g})"
        )
        gap = _gap({row.batch for row in rows}, targets, by_target)
        if gap:
            reasons.append(gap)
    return tuple(reasons)


def _gap(measured: set[int], targets: Sequence[Row], by_target: Floats) -> str:
    """Name the widest run of batches that are predicted and not measured, if it is wide."""
    asked = sorted({row.batch for row in targets})
    runs: list[list[int]] = [[]]
    for batch in asked:
        if batch in measured:
            runs.append([])
        else:
            runs[-1].append(batch)
    run = max(runs, key=len)
    if len(run) < len(asked) / 4:
        return ""
    inside = np.array([row.batch in run for row in targets])
    share = by_target[inside].sum() / by_target.sum()
    below = max((b for b in measured if b < run[0]), default=None)
    above = min((b for b in measured if b > run[-1]), default=None)
    if below is None:
        words = f"no batch below {above}"
    elif above is None:
        words = f"no batch above {below}"
    else:
        words = f"no batch in {below + 1}..{above - 1}"
    return f"{words} is measured, where {100 * share:.0f} % of that uncertainty lies"
