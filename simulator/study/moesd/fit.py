"""MoESD's fit repeated on its own points: the 228 of fig. 4, and ever fewer of them (App. C.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.hardware.gpu import load_gpu
from simulator.models.catalog import load_architecture, load_drafter
from simulator.speculation.performance import Points
from simulator.study.calibration.bounds import physical_bounds
from simulator.study.calibration.fit import Fit, fit, half_sse
from simulator.study.calibration.measurements import Measurements, speedups_at
from simulator.study.moesd.published import Stride, curves, peaks, strides

FIGURE = "4"
GPU, GPUS = "a800_sxm", 2
DATASET, TEMPERATURE = "humaneval", 0

STARTS = 8
"""Of each fit; the paper's search has one."""

BAD_PLANS = (10, 12, 13)
"""Numbers of points at which the paper's error is out of line: no more points than parameters, no
batch above 40, none in 2 to 23."""


@dataclass(frozen=True, slots=True)
class Subset:
    """A fit to every ``stride``-th of the 228 points.

    Parameters
    ----------
    published
        The row of the paper's table 3.
    half_sse
        Half the sum of squares over all 228 points, ours.
    agreeing
        Starts, of `STARTS`, that ended at the best cost.
    """

    published: Stride
    half_sse: float
    agreeing: int


@dataclass(frozen=True, slots=True)
class FitStudy:
    """The fit on all points, and the error against the number of points.

    Parameters
    ----------
    whole
        The fit on all 228.
    subsets
        Rows of table 3, fewest points first; the last is of all points.
    """

    whole: Fit
    subsets: tuple[Subset, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Figures by flat name.

        ``half_sse_228``, ``half_sse_<m>`` for the subset of m points, and ``half_sse_ratio_worst``,
        the largest factor between ours and the published error of a subset.
        """
        found = {f"half_sse_{row.published.points}": row.half_sse for row in self.subsets}
        apart = [abs(np.log(row.half_sse / row.published.half_sse)) for row in self.subsets]
        return found | {"half_sse_ratio_worst": float(np.exp(max(apart)))}


def published_points() -> Measurements:
    """Return the 228 points of fig. 4 sorted by K, gamma and batch, as the paper takes them.

    Sigma is that of table 1 at K = 8: the figure scales every other K to it.
    """
    shares = {
        peak.gamma: peak.sigma
        for peak in peaks()
        if (peak.dataset, peak.temperature) == (DATASET, TEMPERATURE)
    }
    drawn = [curve for curve in curves() if curve.figure == FIGURE]
    rows = sorted(
        (curve.top_k or 0, curve.gamma, batch, value)
        for curve in drawn
        for batch, value in zip(curve.batch, curve.value, strict=True)
    )
    top_k, gamma, batch, speedup = np.array(rows, float).T
    target = load_architecture(drawn[0].model)
    experts = target.moe.experts if target.moe else 1
    sigma = np.array([shares[int(drafted)] for drafted in gamma])
    ridge = load_gpu(GPU).ridge_flop_per_byte(target.dtype)
    points = Points.of(batch, gamma, top_k, experts, sigma, ridge)
    return speedups_at(points, speedup, drawn[0].source)


def fit_steps() -> int:
    """Return how many fits `fit_published` makes, for a progress bar."""
    return len(strides())


def fit_published(advance: Callable[[], object]) -> FitStudy:
    """Fit all 228 points, and each subset of table 3, within the bounds of App. C.2.

    Parameters
    ----------
    advance
        Called after each of `fit_steps` fits.
    """
    every = published_points()
    drawn = next(curve for curve in curves() if curve.figure == FIGURE)
    pair = load_architecture(drawn.model), load_drafter(drawn.drafter)
    bounds = physical_bounds(*pair, load_gpu(GPU), GPUS)
    subsets = []
    for row in strides():
        found = fit(every.rows(slice(None, None, row.stride)), bounds, starts=STARTS)
        errors = found.predict(every.points).speedup - every.values["speedup"]
        subsets.append(Subset(row, half_sse(errors), found.solution.agreeing))
        advance()
    return FitStudy(found, tuple(subsets))
