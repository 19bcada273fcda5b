"""The closed forms of speculative decoding (MoESD, arXiv 2505.19645, sections 2 and 3).

Notation of the paper: alpha is the chance that a drafted token is accepted given that those
before it were, gamma the draft length, sigma the share of the most tokens possible that a round
yields.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError

_BISECTIONS = 52
"""Halvings of [0, 1] down to the spacing of floats below 1."""

_ROUNDING = 1e-12
"""A share may be out of its range by this."""


def expected_tokens_per_round(alpha: ArrayLike, gamma: ArrayLike) -> NDArray[np.float64]:
    """Tokens that one draft-and-verify round yields on average, the bonus token included.

    Parameters
    ----------
    alpha
        Acceptance rate in [0, 1], i.i.d. over positions.
    gamma
        Draft length, >= 0.

    Returns
    -------
    ndarray
        ``(1 - alpha^(gamma+1)) / (1 - alpha)``, and ``gamma + 1`` at alpha = 1 (eq. 5 times
        gamma+1).

    Examples
    --------
    >>> float(expected_tokens_per_round(0.8, 4)).__round__(3)
    3.362
    """
    alpha, gamma = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(gamma, float))
    sure = alpha >= 1.0
    safe = np.where(sure, 0.0, alpha)
    near = np.where(sure | (alpha < 0.5), 0.5, alpha)
    # Near alpha = 1 the plain form subtracts ones from ones.
    lost = np.where(
        alpha < 0.5, 1.0 - safe ** (gamma + 1.0), -np.expm1((gamma + 1.0) * np.log(near))
    )
    return np.where(sure, gamma + 1.0, lost / (1.0 - safe))


def sigma(alpha: ArrayLike, gamma: ArrayLike) -> NDArray[np.float64]:
    """Share of the most tokens possible that a round yields on average (eq. 5).

    Examples
    --------
    >>> float(sigma(0.95, 4)).__round__(2)
    0.9
    """
    return expected_tokens_per_round(alpha, gamma) / (np.asarray(gamma, float) + 1.0)


def alpha_from_sigma(share: ArrayLike, gamma: ArrayLike) -> NDArray[np.float64]:
    """Invert eq. 5: the acceptance rate that yields a share of the most tokens possible.

    Sigma rises with alpha, so its one root in [0, 1] is bracketed and bisected.

    Parameters
    ----------
    share
        Sigma, in [1 / (gamma + 1), 1]: a round yields one token at least.
    gamma
        Draft length, >= 1 (at 0 every alpha yields the same).

    Returns
    -------
    ndarray
        Alpha in [0, 1], i.i.d. over positions, to a part in 10^15.

    Raises
    ------
    ConfigError
        If a share is out of its range, or a draft length is below 1.

    Examples
    --------
    >>> alpha_from_sigma([0.94, 0.91], [2, 4]).round(3).tolist()
    [0.939, 0.953]
    """
    share, gamma = np.broadcast_arrays(np.asarray(share, float), np.asarray(gamma, float))
    if not np.all(gamma >= 1):
        raise ConfigError(f"sigma tells alpha from gamma 1 on, got gamma={np.min(gamma):g}.")
    wrong = ~((share * (gamma + 1.0) >= 1.0 - _ROUNDING) & (share <= 1.0 + _ROUNDING))
    if np.any(wrong):
        at = tuple(index[0] for index in np.nonzero(np.atleast_1d(wrong)))
        value, drafted = np.atleast_1d(share)[at], np.atleast_1d(gamma)[at]
        raise ConfigError(
            f"sigma={value:g} is out of range: a round with gamma={drafted:g} yields 1 to "
            f"{drafted + 1:g} tokens, so sigma lies between {1 / (drafted + 1):.4g} and 1."
        )
    low, high = np.zeros(share.shape), np.ones(share.shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        below = sigma(middle, gamma) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2.0)


def target_efficiency(plain_s: ArrayLike, verify_s: ArrayLike) -> NDArray[np.float64]:
    """How cheap verification is (section 2): near 1 if bound by memory, 1 / gamma by compute.

    Parameters
    ----------
    plain_s, verify_s
        ``T_T(B, 1)`` and ``T_T(B, gamma)``, s.

    Returns
    -------
    ndarray
        ``T_T(B, 1) / T_T(B, gamma)``.

    Examples
    --------
    >>> float(target_efficiency(15.9e-3, 22.6e-3)).__round__(2)
    0.7
    """
    return np.asarray(np.asarray(plain_s, float) / np.asarray(verify_s, float))


def saturation_tokens(experts: int, top_k: int, share: float = 0.95) -> int:
    """Tokens from which on almost all experts are active (eq. 9).

    Returns
    -------
    int
        ``ceil(log_{1-K/E}(1 - share))``.

    Examples
    --------
    >>> saturation_tokens(64, 8)
    23
    """
    if not 0 < share < 1 or not 0 < top_k < experts:
        raise ConfigError(
            f"saturation_tokens needs 0 < share < 1 and 0 < top_k < experts, "
            f"got share={share!r}, top_k={top_k!r}, experts={experts!r}."
        )
    return math.ceil(math.log1p(-share) / math.log1p(-top_k / experts))


def speedup(
    tokens_per_round: ArrayLike,
    draft_ratio: ArrayLike,
    verify_ratio: ArrayLike,
    reject_ratio: ArrayLike,
) -> NDArray[np.float64]:
    """Speedup of decoding by speculation (eq. 4).

    Parameters
    ----------
    tokens_per_round
        ``sigma (gamma + 1)``.
    draft_ratio
        ``gamma T_D / T_T(B, 1)``: all draft steps of a round against one plain step.
    verify_ratio
        ``T_T(B, gamma) / T_T(B, 1)``, the inverse of target efficiency; here the verify step has
        gamma + 1 query tokens per request.
    reject_ratio
        ``T_rej / T_T(B, 1)``.

    Examples
    --------
    >>> float(speedup(3.36, 0.4, 1.3, 0.05)).__round__(2)
    1.92
    """
    plain_steps = (
        np.asarray(draft_ratio, float)
        + np.asarray(verify_ratio, float)
        + np.asarray(reject_ratio, float)
    )
    return np.asarray(np.asarray(tokens_per_round, float) / plain_steps)
