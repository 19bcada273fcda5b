"""What of MoESD is reproduced bottom-up: its curves, with the acceptance that was published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.theory import alpha_from_sigma
from simulator.study.moesd.published import Curve, Peak, curves, peaks
from simulator.study.moesd.runs import Cell

T = TypeVar("T")

MOE, DENSE = "qwen2_57b_a14b", "opt_30b"
"""The paper's pairs on 2 x A800 that have curves."""

REFERENCE_GAMMA = 4
"""Draft length of the curves that calibration may look at (data set HumanEval, temperature 0)."""


def speedup_curves(model: str) -> list[Curve]:
    """Return the speedup curves of a model: figs. 5c, 5d and 6; fig. 2a repeats one of fig. 6."""
    return [c for c in curves() if c.model == model and c.figure in ("5c", "5d", "6")]


def efficiency_curve(model: str) -> Curve:
    """Return the target efficiency of a model (figs. 2a and 3): gamma 4, temperature 0."""
    return _only(c for c in curves() if c.model == model and c.quantity == "target_efficiency")


def sparsity_curves() -> list[Curve]:
    """Return the curves of fig. 4: the router of Qwen2-57B-A14B set to other K."""
    return [c for c in curves() if c.figure == "4"]


def reference_curve(model: str) -> Curve:
    """Return the speedup curve of which calibration may look at a few points."""
    chosen = ("humaneval", 0, REFERENCE_GAMMA)
    return _only(c for c in speedup_curves(model) if setting(c) == chosen)


def setting(curve: Curve | Peak) -> tuple[str, int, int]:
    """Return data set, temperature and draft length."""
    return curve.dataset, curve.temperature, curve.gamma


def published_sigma(curve: Curve) -> float:
    """Return sigma of a setting of Qwen2-57B-A14B from table 1."""
    return _only(row for row in peaks() if setting(row) == setting(curve)).sigma


def published_alpha(curve: Curve) -> float:
    """Return the acceptance rate that sigma of table 1 means (eq. 5 inverted)."""
    return float(alpha_from_sigma(published_sigma(curve), curve.gamma))


def humaneval_alpha() -> float:
    """Return the mean acceptance rate of Qwen2-57B-A14B on HumanEval at temperature 0."""
    found = [c for c in speedup_curves(MOE) if (c.dataset, c.temperature) == ("humaneval", 0)]
    return float(np.mean([published_alpha(curve) for curve in found]))


def cells(curve: Curve, alpha: float) -> list[Cell]:
    """Return the runs that a curve stands for, one a batch."""
    return [Cell(curve.model, batch, curve.gamma, alpha, curve.top_k) for batch in curve.batch]


def at_batches(curve: Curve, batches: Sequence[int]) -> Curve:
    """Return a curve at those of its batches that are asked for."""
    kept = [pair for pair in zip(curve.batch, curve.value, strict=True) if pair[0] in batches]
    batch, value = zip(*kept, strict=True)
    return replace(curve, batch=batch, value=value)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each point and its neighbours; at the ends of two points.

    Examples
    --------
    >>> smoothed(np.array([1.0, 2.0, 6.0])).tolist()
    [1.5, 3.0, 4.0]
    """
    spread = np.ones(3)
    return np.convolve(values, spread, "same") / np.convolve(np.ones_like(values), spread, "same")


def _only(found: Iterable[T]) -> T:
    (one,) = found
    return one
