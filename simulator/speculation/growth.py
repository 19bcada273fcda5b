"""The growth function of MoESD (arXiv 2505.19645, eq. 11): a roofline with a soft start."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Growth(NamedTuple):
    """Values of G and their derivatives, all of the shape of the tokens.

    Parameters
    ----------
    value
        G, without unit.
    by_ridge
        dG / d(ridge), 1/token.
    by_base
        dG / ds.
    """

    value: NDArray[np.float64]
    by_ridge: NDArray[np.float64]
    by_base: NDArray[np.float64]


def growth(tokens: ArrayLike, ridge: float, base: float) -> NDArray[np.float64]:
    """How a step's time grows with its tokens, in units of its coefficient (eq. 11).

    ::

        G(t; r, s) = s^t                           t <= r
                   = s^r (1 + ln(s) (t - r))       t >  r

    Below the ridge work is bound by memory and grows slowly, above it is bound by compute and
    grows linearly. Value and first derivative are continuous at the ridge.

    Parameters
    ----------
    tokens
        Tokens t that share the weights, > 0.
    ridge
        r = lambda RP, tokens: the effective ridge point, a share lambda of the GPU's FLOP per byte.
    base
        s, in [1, 2].

    Returns
    -------
    ndarray
        G, without unit; 1 everywhere at s = 1.

    Examples
    --------
    >>> growth([1, 100, 200], ridge=100.0, base=1.01).round(2).tolist()
    [1.01, 2.7, 5.4]
    """
    return growth_with_derivatives(tokens, ridge, base).value


def growth_with_derivatives(tokens: ArrayLike, ridge: float, base: float) -> Growth:
    """Evaluate `growth` and its derivatives by ridge and base.

    Parameters
    ----------
    tokens, ridge, base
        As in `growth`.
    """
    t = np.asarray(tokens, float)
    log_base = np.log(base)
    below = np.minimum(t, ridge)  # the exponent: s^t below, s^r above
    above = np.maximum(t - ridge, 0.0)
    power = np.asarray(base**below)
    line = 1.0 + log_base * above
    return Growth(
        value=power * line,
        by_ridge=power * log_base**2 * above,
        by_base=power / base * (below * line + above),
    )
