"""How far reproduced curves are from MoESD's: errors, peaks, crossover, windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.study.moesd.experiment import smoothed
from simulator.study.moesd.published import Curve

Floats = NDArray[np.float64]

PEAK_FIGURE = "6"
"""Figure whose curves are judged by their peak."""


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A published curve and ours.

    Parameters
    ----------
    curve
        As published.
    value
        Ours at the same batches.
    calibrated
        Batches of this curve that the calibration looked at; every other one is a prediction.
    """

    curve: Curve
    value: Floats
    calibrated: tuple[int, ...] = ()

    @property
    def published(self) -> Floats:
        """The published values."""
        return np.array(self.curve.value)

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Which batches are predictions."""
        return ~np.isin(self.curve.batch, self.calibrated)

    @property
    def errors(self) -> Floats:
        """Relative errors ``ours / published - 1`` of the predictions."""
        return (self.value / self.published - 1.0)[self.predicted]

    @property
    def best_batch(self) -> int:
        """Batch of our largest value."""
        return self.curve.batch[int(np.argmax(self.value))]

    @property
    def published_best_batch(self) -> int:
        """Batch of the largest value of the smoothed published curve."""
        return self.curve.batch[int(np.argmax(smoothed(self.published)))]

    @property
    def peak_error(self) -> float:
        """Our maximum over that of the smoothed published curve, less one."""
        return float(self.value.max() / smoothed(self.published).max() - 1.0)


def mean_error(found: Sequence[Reproduced]) -> float:
    """Return the mean absolute relative error over the predictions of all curves; NaN of none."""
    errors = np.concatenate([one.errors for one in found])
    return float(np.abs(errors).mean()) if len(errors) else math.nan


def mean_bias(found: Sequence[Reproduced]) -> float:
    """Return the mean relative error over the predictions of all curves; NaN of none."""
    errors = np.concatenate([one.errors for one in found])
    return float(errors.mean()) if len(errors) else math.nan


def peak_error(found: Sequence[Reproduced]) -> float:
    """Return the mean absolute `Reproduced.peak_error` over the curves of fig. 6."""
    judged = [abs(one.peak_error) for one in found if one.curve.figure == PEAK_FIGURE]
    return float(np.mean(judged))


def crossover(batch: Sequence[float], first: Floats, second: Floats) -> float | None:
    """Return the batch at which the first curve overtakes the second.

    Parameters
    ----------
    batch
        Where both curves are known, rising.
    first, second
        Their values.

    Returns
    -------
    float or None
        Where their difference, taken as straight between batches, first turns from negative to
        positive; None if it never does.

    Examples
    --------
    >>> crossover([1, 2, 4], np.array([1.0, 1.0, 2.0]), np.array([3.0, 1.5, 1.0]))
    2.6666666666666665
    """
    lead = first - second
    turns = np.nonzero((lead[:-1] <= 0) & (lead[1:] > 0))[0]
    if not len(turns):
        return None
    last = int(turns[0])
    return _meets(0.0, batch[last : last + 2], lead[last : last + 2])


@dataclass(frozen=True, slots=True)
class Window:
    """The batches over which a curve stays above its peak over sqrt(2).

    Parameters
    ----------
    low, high
        First and last such batch; between measured batches the curve is taken as straight.
    best_batch
        Where its peak is.
    """

    low: float
    high: float
    best_batch: int

    @property
    def width(self) -> float:
        """Batches from first to last."""
        return self.high - self.low


def window(batch: Sequence[int], value: Floats) -> Window:
    """Return the window around the peak.

    It ends where the curve first falls below on either side, and at the first and last batch.

    Examples
    --------
    >>> window([1, 2, 4, 8], np.array([1.0, 2.0, 1.5, 0.5])).best_batch
    2
    """
    level, peak = value.max() / np.sqrt(2.0), int(np.argmax(value))
    low, high = float(batch[0]), float(batch[-1])
    for index in range(peak, 0, -1):
        if value[index - 1] < level:
            low = _meets(level, batch[index - 1 : index + 1], value[index - 1 : index + 1])
            break
    for index in range(peak, len(value) - 1):
        if value[index + 1] < level:
            high = _meets(level, batch[index : index + 2], value[index : index + 2])
            break
    return Window(low, high, batch[peak])


def _meets(level: float, batch: Sequence[float], value: Floats) -> float:
    """Return where the line between two points meets a level."""
    share = (level - value[0]) / (value[1] - value[0])
    return float(batch[0] + share * (batch[1] - batch[0]))
