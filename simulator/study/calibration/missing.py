"""What to measure next, so that everything is determined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.performance import Points, evaluate
from simulator.study.calibration.measurements import TIMES
from simulator.study.identify.rank import ZERO

Floats = NDArray[np.float64]

_BEYOND_RIDGE = 2.0
"""The largest batch proposed, in units of the ridge point: bound by compute for certain."""


def missing(slopes: Floats, theta: Floats, points: Points, units: Floats) -> tuple[str, ...]:
    """Return the fewest further step times, found one by one, that determine what is free.

    A time is taken as soon as it raises the rank of the Jacobian. Times are tried from the cheapest
    to measure: a plain step at the smallest batch first.

    Parameters
    ----------
    slopes
        Derivatives of the residuals that there are, shape (m, 10).
    theta, units
        Where, and changes of the parameters that are alike in weight (`change_units`); 0 for a
        parameter that is known.
    points
        Where was measured.

    Returns
    -------
    tuple of str
        "ar_step_s at batch 1"; empty if all is determined, or no further step time helps.
    """
    scale = max(float(np.linalg.norm(slopes * units, ord=2)), ZERO)
    rows, found = slopes * units, []
    for words, row in _candidates(theta, points):
        # As informative as the rows at hand: a new row's weight must not hide the others' rank.
        weighed = row * units
        added = np.vstack([rows, weighed * scale / max(float(np.linalg.norm(weighed)), ZERO)])
        if _rank(added) > _rank(rows):
            rows = added
            found.append(words)
    return tuple(found)


def _rank(rows: Floats) -> int:
    values = np.linalg.svd(rows, compute_uv=False)
    return int(np.sum(values > ZERO * values[0])) if values.size and values[0] > 0 else 0


def _candidates(theta: Floats, points: Points) -> Iterator[tuple[str, Floats]]:
    """Yield step times that could be measured, with their derivatives, shape (10,)."""
    smallest, largest = int(np.argmin(points.batch)), int(np.argmax(points.batch))
    heavy = np.ceil(_BEYOND_RIDGE * points.ridge_flop_per_byte * max(1.0, _sparsity(points)))
    for row, batch in (
        (smallest, points.batch[smallest]),
        (largest, points.batch[largest]),
        (largest, heavy),
    ):
        columns = {
            name: getattr(points, name)[[row]] for name in ("gamma", "top_k", "experts", "sigma")
        }
        point = replace(points, batch=np.array([batch]), **columns)
        slopes = evaluate(theta, point)[1]
        for name in TIMES:
            yield f"{name} at batch {batch:.0f}", getattr(slopes, name)[0]


def _sparsity(points: Points) -> float:
    """Return experts per active expert: how many tokens give an expert one."""
    return float(np.max(points.experts / points.top_k))
