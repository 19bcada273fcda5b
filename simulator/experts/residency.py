"""How many experts a step finds missing when a layer keeps only some on the GPU: closed forms.

A step calls for expert e with chance ``p_e``, independently of the step before given these chances
(the *independent reference model*). Of a layer's experts C are resident.

- ``pinned``: the C most popular stay for good; ``sum of p_e`` over all others are missing.
- ``lru``: the C last used. Che's approximation (H. Che, Y. Tung, Z. Wang, "Hierarchical web caching
  systems", IEEE JSAC 20(7), 2002; why it is so good: C. Fricker, P. Robert, J. Roberts, ITC 24,
  2012): an expert is resident if it was used within the last T steps, with one T for all, such that
  C are resident on average. Steps are discrete, so T = n + f means: surely for n steps, and with
  chance f for one more.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEVER = 1e-12
"""Chance below which an expert counts as never called, for logarithms."""

_LONGEST, _HALVINGS = 21.0, 34
"""Bisection of ``log(1 + T)``: from no step to 1e9."""


def chances_of(exposure: Floats, distinct: float) -> Floats:
    """Return the chances of experts to be called for, so that a step calls for a given number.

    Parameters
    ----------
    exposure
        How much each is called for, shape (..., E), > 0 (`experts.popularity.batch_exposure`).
    distinct
        Distinct experts N of a step, below E; a routing law supplies it.

    Returns
    -------
    ndarray of float, same shape
        ``p_e = 1 - exp(-t exposure_e)``, one t for all, such that a layer's sum to N on average.

    Examples
    --------
    >>> chances_of(np.array([1.0, 1.0, 2.0]), distinct=1.5).round(3).tolist()
    [0.419, 0.419, 0.662]
    """
    experts = exposure.shape[-1]
    share = distinct / experts
    if share >= 1.0 - _NEVER:
        return np.ones_like(exposure)
    if share <= 0.0:
        return np.zeros_like(exposure)

    def excess(log_tokens: float) -> float:
        return float(_called(exposure, np.exp(log_tokens)).mean() - share)

    scale = np.log(-np.log1p(-share))
    low, high = scale - np.log(exposure.max()), scale - np.log(exposure.min())
    log_tokens = scipy.optimize.brentq(excess, low - 1e-9, high + 1e-9) if high > low else low
    return _called(exposure, np.exp(log_tokens))


def _called(exposure: Floats, tokens: float) -> Floats:
    """Return the chances of being called for by so many tokens."""
    chances: Floats = -np.expm1(-tokens * exposure)
    return chances


def lru_resident(chances: Floats, resident: int) -> Floats:
    """Return the chance that each expert is resident where the last used stay.

    Parameters
    ----------
    chances
        ``p_e``, shape (..., E).
    resident
        Experts C that a layer keeps, >= 1.

    Returns
    -------
    ndarray of float, same shape
        ``1 - (1 - p_e)^n (1 - f p_e)``; a layer's sum to C. Where fewer than C are ever called for,
        all of these are resident.

    Notes
    -----
    T is found by bisection of ``log(1 + T)``, for all layers at once.

    Examples
    --------
    >>> lru_resident(np.array([0.9, 0.5, 0.1, 0.1]), resident=2).round(2).tolist()
    [0.97, 0.69, 0.17, 0.17]
    """
    low = np.zeros((*chances.shape[:-1], 1))
    high = np.full_like(low, _LONGEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        few = _used_within(chances, np.expm1(middle)).sum(axis=-1, keepdims=True) < resident
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return _used_within(chances, np.expm1(high))


def _used_within(chances: Floats, steps: Floats) -> Floats:
    """Return the chance of having been called for within the last ``steps``, a fraction as one."""
    part, whole = np.modf(steps)
    used: Floats = 1.0 - (1.0 - chances) ** whole * (1.0 - part * chances)
    return used


def lru_misses(chances: Floats, resident: int) -> Floats:
    """Return the experts of a layer that a step finds missing on average.

    Parameters
    ----------
    chances
        ``p_e``, shape (..., layers, E).
    resident
        Experts C that a layer keeps. A step that calls for more brings the others in all the same,
        after those that are there have been used.

    Returns
    -------
    ndarray of float, shape (...)
        Mean over the layers.

    Examples
    --------
    >>> chances = np.full((1, 8), 0.25)
    >>> [float(lru_misses(chances, resident=count).round(6)) for count in (4, 8)]
    [1.0, 0.0]
    """
    missing = chances * (1.0 - lru_resident(chances, resident))
    mean: Floats = missing.sum(axis=-1).mean(axis=-1)
    return mean


def pinned_misses(popularity: Floats, resident: int, distinct: float) -> float:
    """Return the experts of a layer that a step finds missing where the most popular stay.

    Parameters
    ----------
    popularity
        Chance that a token picks each expert, shape (E,).
    resident
        Experts C that a layer keeps.
    distinct
        Distinct experts N of a step.

    Returns
    -------
    float
        The sum of the chances of all others. One token (N = K) misses K less the popularity of
        the pinned: its hit rate is their share of the popularity.

    Examples
    --------
    >>> popularity = np.array([0.8, 0.58, 0.4, 0.22])
    >>> round(pinned_misses(popularity, resident=2, distinct=2.0), 2)
    0.62
    """
    ordered = np.sort(popularity)[::-1]
    exposure = -np.log1p(-np.clip(ordered, _NEVER, 1.0 - _NEVER))
    return float(chances_of(exposure, distinct)[resident:].sum())
