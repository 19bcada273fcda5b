"""Confidence intervals of means, of ratios and of differences, paired or not.

Replications are independent; within one, both arms share arrivals, lengths and acceptances, so
their ratio varies far less than either. A ratio is averaged on the log scale, where swapping the
arms flips the sign and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

CONFIDENCE = 0.95
"""Probability that an interval covers the true value."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the bounds of its confidence interval.

    Parameters
    ----------
    value
        The estimate.
    low, high
        The bounds; None if a single replication gives no measure of spread.
    """

    value: float
    low: float | None
    high: float | None


def value_of(interval: Interval | None) -> float | None:
    """Return the estimate; None where there is none.

    Examples
    --------
    >>> value_of(Interval(1.5, 1.0, 2.0)), value_of(None)
    (1.5, None)
    """
    return None if interval is None else interval.value


def upper(interval: Interval) -> float:
    """Return the upper bound, or the estimate where a single replication gives none.

    Examples
    --------
    >>> upper(Interval(1.0, 0.8, 1.2)), upper(Interval(1.0, None, None))
    (1.2, 1.0)
    """
    return interval.value if interval.high is None else interval.high


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of independent values with Student's t interval, m -+ t(n - 1) s / sqrt(n).

    Parameters
    ----------
    values
        One per replication; at least one.
    confidence
        Coverage, in (0, 1).

    Examples
    --------
    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    sample = np.asarray(values, dtype=np.float64)
    mean, count = float(sample.mean()), sample.size
    if count == 1:
        return Interval(mean, None, None)
    # scipy.special has Student's quantile without the second that importing scipy.stats takes.
    quantile = float(scipy.special.stdtrit(count - 1, 0.5 + confidence / 2))
    half = quantile * float(sample.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def paired_ratio(
    numerators: Sequence[float | None],
    denominators: Sequence[float | None],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Geometric mean of paired ratios, with the t interval of their logarithms.

    Parameters
    ----------
    numerators, denominators
        One value per replication, in the same order. A pair counts if both are positive.
    confidence
        Coverage, in (0, 1).

    Returns
    -------
    Interval or None
        None if no pair counts.

    Examples
    --------
    >>> paired_ratio([2.0, 8.0], [1.0, 4.0])
    Interval(value=2.0, low=2.0, high=2.0)
    """
    logs = [
        math.log(above / below)
        for above, below in zip(numerators, denominators, strict=True)
        if above and below and above > 0 and below > 0
    ]
    if not logs:
        return None
    log = mean_interval(logs, confidence)
    return Interval(math.exp(log.value), _exp(log.low), _exp(log.high))


def ratio_of_means(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Mean over mean of paired values, with the t interval of its linear form (delta method).

    Other than a mean of ratios it holds where some of the values are zero.

    Parameters
    ----------
    numerators, denominators
        One value per replication, in the same order.
    confidence
        Coverage, in (0, 1).

    Returns
    -------
    Interval or None
        ``r = mean(a) / mean(b)`` and the interval of the mean of ``a - r b`` over ``mean(b)``
        around it; None if all denominators are zero.

    Examples
    --------
    >>> ratio_of_means([1.0, 0.0], [2.0, 0.0])
    Interval(value=0.5, low=0.5, high=0.5)
    """
    above, below = (np.asarray(one, dtype=np.float64) for one in (numerators, denominators))
    mean = float(below.mean())
    if not mean:
        return None
    ratio = float(above.mean()) / mean
    spread = mean_interval((ratio + (above - ratio * below) / mean).tolist(), confidence)
    return Interval(ratio, spread.low, spread.high)


def paired_difference(
    firsts: Sequence[float | None],
    seconds: Sequence[float | None],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Mean of paired differences, second minus first, with its t interval.

    Parameters
    ----------
    firsts, seconds
        One value per replication, in the same order. A pair counts if both are there.
    confidence
        Coverage, in (0, 1).

    Returns
    -------
    Interval or None
        None if no pair counts.

    Examples
    --------
    >>> paired_difference([0.5, None], [0.75, 1.0])
    Interval(value=0.25, low=None, high=None)
    """
    gains = [
        second - first
        for first, second in zip(firsts, seconds, strict=True)
        if first is not None and second is not None
    ]
    return mean_interval(gains, confidence) if gains else None


def welch_difference(
    firsts: Sequence[float | None],
    seconds: Sequence[float | None],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Difference of the means of independent samples, second minus first, by Welch's t interval.

    Half of it is ``t(n) sqrt(u + v)``, with the squared standard errors of the means u and v and
    ``n = (u + v)^2 / (u^2 / (a - 1) + v^2 / (b - 1))`` for samples of sizes a and b.

    Parameters
    ----------
    firsts, seconds
        One value per replication; None counts nowhere.
    confidence
        Coverage, in (0, 1).

    Returns
    -------
    Interval or None
        None if a sample is empty; without bounds if one has a single value.

    Examples
    --------
    >>> found = welch_difference([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (2.0, -2.155, 6.155)
    """
    samples = [np.array([x for x in values if x is not None]) for values in (firsts, seconds)]
    if not all(sample.size for sample in samples):
        return None
    first, second = (float(sample.mean()) for sample in samples)
    value = second - first
    if min(sample.size for sample in samples) == 1:
        return Interval(value, None, None)
    squares = [float(sample.var(ddof=1)) / sample.size for sample in samples]
    total = sum(squares)
    if total == 0.0:
        return Interval(value, value, value)
    parts = zip(squares, samples, strict=True)
    freedom = total**2 / sum(square**2 / (sample.size - 1) for square, sample in parts)
    half = float(scipy.special.stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(total)
    return Interval(value, value - half, value + half)


def welch_ratio(
    numerators: Sequence[float | None],
    denominators: Sequence[float | None],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Ratio of the geometric means of independent samples, by Welch's interval of their logarithms.

    Arguments as of `welch_difference`; values that are not positive count nowhere.

    Examples
    --------
    >>> welch_ratio([2.0, 2.0], [1.0, 1.0])
    Interval(value=2.0, low=2.0, high=2.0)
    """
    logs = [[math.log(x) for x in values if x and x > 0] for values in (denominators, numerators)]
    log = welch_difference(logs[0], logs[1], confidence)
    return None if log is None else Interval(math.exp(log.value), _exp(log.low), _exp(log.high))


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)
