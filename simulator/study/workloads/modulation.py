r"""Fluctuations of a request rate, fitted to how counts of arrivals scatter.

Under `workload.arrivals.GammaModulatedPoisson` counts in windows of ``w`` seconds have the squared
coefficient of variation ``1/(r w) + sum_i v_i e(w / tau_i)``, with the closed form ``e`` of
`Modulation.excess_count_cv2`. In a recording of ``T`` seconds the mean is that of the recording,
which takes ``1/(r T) + sum_i v_i e(T / tau_i)`` away. On a grid of time constants ``tau_i`` this
is linear in the variances ``v_i >= 0``: they solve a non-negative least squares problem (Lawson
and Hanson, Solving Least Squares Problems, 1974, chapter 23) in relative errors, whose solution
has few fluctuations.

The CV of *one* recording is not the root of the expected variance over the expected mean, since
both scatter, and for bursty traffic by much. So the fit is corrected by indirect inference
(Gouriéroux, Monfort and Renault, J. Appl. Econometrics 8, 1993, S85-S118): recordings of the same
length are drawn from the fit, and what their mean CV misses is added to what is aimed at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from simulator.streams import Streams
from simulator.study.workloads.counts import Arrivals, counted
from simulator.workload.arrivals import ArrivalLaw, GammaModulatedPoisson, Poisson
from simulator.workload.modulation import Modulation

Floats = NDArray[np.float64]

FEWEST_FITTED = 10
"""Windows that a recording must hold so many times to be fitted to (kind: assumed)."""

CORRECTIONS, MOST_RECORDINGS, FEWEST_RECORDINGS = 4, 60, 8
"""Rounds of indirect inference, and recordings drawn in each (kind: assumed)."""

_REQUESTS = 600_000
"""Requests drawn in each round, about; long recordings need fewer for means as sharp."""

_GRID_RATIO, _SHORTEST_S, _LONGEST_SHARE = 2.0, 0.5, 0.25
"""Time constants tried: this far apart, from this on, up to this share of the recording."""

_NEGLIGIBLE = 0.03
"""A fluctuation that adds less than this share to the squared CV in every window is left out
(kind: assumed): what it adds to a CV is half of that, and weak ones cost more to draw.
"""


def fit_modulations(arrivals: Arrivals, seed: int) -> tuple[Modulation, ...]:
    """Fit the fluctuations of the rate to counts.

    Parameters
    ----------
    arrivals
        What was counted; its rate is the mean rate.
    seed
        Of the recordings drawn to correct the fit.

    Returns
    -------
    tuple
        The fluctuations, shortest first; empty if counts scatter no more than Poisson counts, or
        the recording is too short to tell.
    """
    observed = fitted_to(arrivals)
    if arrivals.rate is None or not observed:
        return ()
    goal = dict(observed)
    recordings = min(max(_REQUESTS // arrivals.requests, FEWEST_RECORDINGS), MOST_RECORDINGS)
    best: tuple[float, tuple[Modulation, ...]] = (np.inf, ())
    for _ in range(CORRECTIONS):
        found = _solve(goal, arrivals.rate, arrivals.span_s)
        if not found:
            break
        law = arrival_law(arrivals.rate, found)
        drawn = mean_cv(law, arrivals.span_s, tuple(observed), seed, recordings)
        ratio = {w: np.sqrt(observed[w]) / cv for w, cv in drawn.items()}
        worst = max((abs(np.log(value)) for value in ratio.values()), default=0.0)
        best = min(best, (worst, found), key=lambda one: one[0])
        goal = {w: goal[w] * ratio.get(w, 1.0) ** 2 for w in goal}
    return best[1]


def fitted_to(arrivals: Arrivals) -> dict[float, float]:
    """Return the squared CV of counts in the windows that a fit looks at, by window, s."""
    return {
        window_s: cv2
        for window_s, cv2 in arrivals.cv2().items()
        if _SHORTEST_S <= window_s <= arrivals.span_s / FEWEST_FITTED and cv2 > 0
    }


def arrival_law(rate: float, modulations: Sequence[Modulation]) -> ArrivalLaw:
    """Return Poisson arrivals of a rate, with its fluctuations if there are any."""
    return GammaModulatedPoisson(rate, tuple(modulations)) if modulations else Poisson(rate)


def recording(law: ArrivalLaw, span_s: float, streams: Streams) -> Iterator[Floats]:
    """Draw arrivals up to a time, s, block after block."""
    for times_s in law.times(streams):
        yield times_s[times_s <= span_s]
        if times_s[-1] > span_s:
            return


def mean_cv(
    law: ArrivalLaw, span_s: float, windows_s: Sequence[float], seed: int, recordings: int
) -> dict[float, float]:
    """Return the mean CV of counts over the drawn recordings that have one, by window, s.

    A recording whose arrivals all come within a few windows has none.
    """
    found: dict[float, list[float]] = defaultdict(list)
    for replication in range(recordings):
        drawn = counted(recording(law, span_s, Streams(seed, replication)), windows_s)
        for window_s, cv2 in drawn.cv2().items():
            found[window_s].append(float(np.sqrt(cv2)))
    return {window_s: float(np.mean(cvs)) for window_s, cvs in found.items() if any(cvs)}


def _solve(goal: Mapping[float, float], rate: float, span_s: float) -> tuple[Modulation, ...]:
    """Return the fluctuations whose expected squared CVs come closest to the goal, relatively."""
    windows_s = np.array(list(goal))
    wanted = np.array(list(goal.values()))
    steps = int(np.log(span_s * _LONGEST_SHARE / _SHORTEST_S) / np.log(_GRID_RATIO)) + 1
    grid_s = _SHORTEST_S * _GRID_RATIO ** np.arange(max(steps, 1))
    unit = [Modulation(1.0, float(tau_s)) for tau_s in grid_s]
    added = np.array(
        [
            [one.excess_count_cv2(w) - one.excess_count_cv2(span_s) for one in unit]
            for w in windows_s
        ]
    )
    poisson = 1 / (rate * windows_s) - 1 / (rate * span_s)
    variances, _ = nnls(added / wanted[:, None], (wanted - poisson) / wanted)
    felt = (added * variances / wanted[:, None] > _NEGLIGIBLE).any(axis=0)
    if not felt.any():
        return ()
    variances, _ = nnls(added[:, felt] / wanted[:, None], (wanted - poisson) / wanted)
    return tuple(
        Modulation(round(float(variance), 6), float(tau_s))
        for variance, tau_s in zip(variances, grid_s[felt], strict=True)
        if round(float(variance), 6)
    )
