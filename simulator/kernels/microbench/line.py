"""Time against distinct experts: the straight line that an expert layer follows.

A layer larger than the last-level cache reads the weights of every expert that its tokens touch, so
with few rows per expert::

    T = a + b N,    b = bytes of an expert / bandwidth

(MoESD, arXiv 2505.19645, eq. 8 and its surroundings). Tokens come in numbers of up to E / K.
Balanced, each expert that they touch has one row, so that only the number of experts varies.
Uniform, some have several: what these add shows in a line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress

from simulator.kernels.microbench.cells import expert_bytes
from simulator.kernels.microbench.routing import distinct
from simulator.kernels.microbench.runner import Measurement


@dataclass(frozen=True, slots=True)
class ExpertLine:
    """Least squares through times over distinct experts.

    Parameters
    ----------
    tokens, active, seconds
        Tokens, distinct experts N that they touched, and the median time, per point.
    fixed_s, per_expert_s
        a and b.
    r_squared
        Share of the variance of the times that the line explains.
    bandwidth
        Bytes of an expert over b, bytes/s; infinite where b is not positive.
    layer_bytes
        Weights of the whole layer.
    """

    tokens: tuple[int, ...]
    active: tuple[int, ...]
    seconds: tuple[float, ...]
    fixed_s: float
    per_expert_s: float
    r_squared: float
    bandwidth: float
    layer_bytes: float


def expert_line(points: Sequence[Measurement]) -> ExpertLine:
    """Fit the line to at least three timed cells of one shape."""
    shape = points[0].cell
    active = tuple(distinct(point.cell) for point in points)
    seconds = tuple(point.seconds for point in points)
    fit = linregress(np.array(active, float), np.array(seconds))
    size = expert_bytes(shape)
    return ExpertLine(
        tokens=tuple(point.cell.keys["tokens"] for point in points),
        active=active,
        seconds=seconds,
        fixed_s=float(fit.intercept),
        per_expert_s=float(fit.slope),
        r_squared=float(fit.rvalue**2),
        bandwidth=size / float(fit.slope) if fit.slope > 0 else float("inf"),
        layer_bytes=size * shape.keys["experts"],
    )
