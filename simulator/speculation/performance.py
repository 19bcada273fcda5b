"""The performance model of MoESD with ten parameters (arXiv 2505.19645, section 3.3, Alg. 1).

::

    T_T(B, 1)     = bias + k1 G(B)       + k2 N(B)       + k3 G(Texp(B))
    T_T(B, gamma) = bias + k1 G(B gamma) + k2 N(B gamma) + k3 G(Texp(B gamma))
    T_D(B, 1)     = draft_bias + draft_k G(B)
    T_rej(B)      = reject_bias + reject_k B
    speedup       = sigma (gamma + 1) T_T(B, 1) / (gamma T_D + T_T(B, gamma) + T_rej)    (eq. 4)

with N and Texp of `simulator.speculation.activation` and G of `simulator.speculation.growth`.

**Misprint.** Line 11 of Algorithm 1 prints the denominator as ``draft_time + ar_time +
verify_time + reject_time``: a spurious ``+ ar_time``, and no ``gamma *`` before the draft time.
Equation 4, which the algorithm implements, has ``gamma T_D + T_T(B, gamma) + T_rej`` and is used
here. On the paper's 228 points half the sum of squares is 1.06 with equation 4, 4.40 as printed,
and 1.51 with neither the plain step nor gamma; the paper's table 3 says 1.523.

**Tokens verified.** The paper counts gamma tokens per request in a verify step. Engines process
gamma + 1, as one more token comes out of a round than was drafted, and so does the rest of this
simulator. Parameters fitted here belong to the paper's count and must not be used with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.speculation.activation import activated_experts, tokens_per_expert
from simulator.speculation.growth import growth_with_derivatives

Floats = NDArray[np.float64]

NAMES = (
    "bias",
    "k1",
    "k2",
    "k3",
    "draft_bias",
    "draft_k",
    "reject_bias",
    "reject_k",
    "lambda",
    "s",
)
"""The ten parameters as the paper calls them, in the order of `Parameters`."""

TIME_NAMES = NAMES[:8]
"""Those that are seconds: a speedup is a ratio, and stays when all of them grow by one factor."""


class Parameters(NamedTuple):
    """The ten parameters; an array of ten in this order serves as well.

    Parameters
    ----------
    bias
        Time to load what every step loads, s.
    k1
        Coefficient of growth of the dense part, s.
    k2
        Time to load one expert of every layer, s.
    k3
        Coefficient of growth of the experts, s.
    draft_bias
        Time to load the drafter, s.
    draft_k
        Coefficient of growth of the drafter, s.
    reject_bias
        Fixed time of rejection sampling, s.
    reject_k
        Time of rejection sampling per request, s.
    lambda_
        Effective over theoretical ridge point, in [0.2, 1].
    s
        Base of growth, in [1, 2].
    """

    bias: float
    k1: float
    k2: float
    k3: float
    draft_bias: float
    draft_k: float
    reject_bias: float
    reject_k: float
    lambda_: float
    s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Operating points, arrays of one shape (n,).

    Parameters
    ----------
    batch
        Requests B.
    gamma
        Draft length, >= 1.
    top_k, experts
        K and E of the target; 1 and 1 for a dense model.
    sigma
        Share of the most tokens possible that a round yields (eq. 5).
    ridge_flop_per_byte
        Theoretical ridge point RP of the GPU (eq. 1), one for all points.
    """

    batch: Floats
    gamma: Floats
    top_k: Floats
    experts: Floats
    sigma: Floats
    ridge_flop_per_byte: float

    @classmethod
    def of(
        cls,
        batch: ArrayLike,
        gamma: ArrayLike,
        top_k: ArrayLike,
        experts: ArrayLike,
        sigma: ArrayLike,
        ridge_flop_per_byte: float,
    ) -> Points:
        """Broadcast columns and scalars to points."""
        columns = (np.asarray(x, float) for x in (batch, gamma, top_k, experts, sigma))
        B, g, K, E, share = (np.atleast_1d(x) for x in np.broadcast_arrays(*columns))
        ridge = ridge_flop_per_byte
        return cls(batch=B, gamma=g, top_k=K, experts=E, sigma=share, ridge_flop_per_byte=ridge)


class Prediction(NamedTuple):
    """What can be measured at each point: values of shape (n,), or derivatives of shape (n, 10).

    Parameters
    ----------
    ar_step_s
        T_T(B, 1), a plain step of the target, s.
    verify_step_s
        T_T(B, gamma), s.
    draft_step_s
        T_D(B, 1), one step of the drafter, s.
    reject_s
        T_rej(B), s.
    speedup
        Equation 4.
    """

    ar_step_s: Floats
    verify_step_s: Floats
    draft_step_s: Floats
    reject_s: Floats
    speedup: Floats


def predict(parameters: Parameters | Floats, points: Points) -> Prediction:
    """Evaluate the model (Alg. 1 with eq. 4).

    Parameters
    ----------
    parameters
        The ten, times in seconds (or in any one unit: then times come out in it).
    points
        Where.

    Returns
    -------
    Prediction
        Values, shape (n,).

    Examples
    --------
    >>> point = Points.of(8, 4, 8, 64, 0.91, ridge_flop_per_byte=153.0)
    >>> theta = Parameters(4.7e-3, 4e-3, 0.2e-3, 2e-3, 0.5e-3, 1e-3, 1e-3, 1e-4, 0.3, 1.02)
    >>> float(predict(theta, point).speedup[0]).__round__(2)
    2.54
    """
    return evaluate(parameters, points)[0]


def jacobian(parameters: Parameters | Floats, points: Points) -> Prediction:
    """Differentiate the model by its ten parameters.

    Parameters
    ----------
    parameters, points
        As in `predict`.

    Returns
    -------
    Prediction
        Derivatives, shape (n, 10), columns in the order of `NAMES`.
    """
    return evaluate(parameters, points)[1]


def evaluate(parameters: Parameters | Floats, points: Points) -> tuple[Prediction, Prediction]:
    """Return `predict` and `jacobian` of one evaluation."""
    theta = np.asarray(parameters, float)
    B, gamma = points.batch, points.gamma
    by_plain = _target_step(theta, points, B)
    by_verify = _target_step(theta, points, B * gamma)
    by_draft, by_reject = _draft_step(theta, points), np.zeros((B.size, len(NAMES)))
    by_reject[:, 6], by_reject[:, 7] = 1.0, B
    plain, verify, draft, reject = (
        by_time[:, :8] @ theta[:8] for by_time in (by_plain, by_verify, by_draft, by_reject)
    )
    round_s = gamma * draft + verify + reject
    by_round = gamma[:, None] * by_draft + by_verify + by_reject
    speedup = points.sigma * (gamma + 1.0) * plain / round_s
    by_speedup = speedup[:, None] * (by_plain / plain[:, None] - by_round / round_s[:, None])
    return (
        Prediction(plain, verify, draft, reject, speedup),
        Prediction(by_plain, by_verify, by_draft, by_reject, by_speedup),
    )


def _target_step(theta: Floats, points: Points, tokens: Floats) -> Floats:
    """Differentiate T_T at some tokens by the ten, shape (n, 10).

    Times are linear in the first eight, so the time itself is these derivatives times the eight.
    """
    lambda_, s = theta[8:]
    ridge = lambda_ * points.ridge_flop_per_byte
    dense = growth_with_derivatives(tokens, ridge, s)
    each = tokens_per_expert(tokens, points.experts, points.top_k)
    expert = growth_with_derivatives(each, ridge, s)
    k1, k3 = theta[1], theta[3]
    derivatives = np.zeros((tokens.size, len(NAMES)))
    derivatives[:, 0] = 1.0
    derivatives[:, 1] = dense.value
    derivatives[:, 2] = activated_experts(tokens, points.experts, points.top_k)
    derivatives[:, 3] = expert.value
    derivatives[:, 8] = points.ridge_flop_per_byte * (k1 * dense.by_ridge + k3 * expert.by_ridge)
    derivatives[:, 9] = k1 * dense.by_base + k3 * expert.by_base
    return derivatives


def _draft_step(theta: Floats, points: Points) -> Floats:
    """Differentiate T_D by the ten, shape (n, 10); as `_target_step`."""
    lambda_, s = theta[8:]
    drafter = growth_with_derivatives(points.batch, lambda_ * points.ridge_flop_per_byte, s)
    derivatives = np.zeros((points.batch.size, len(NAMES)))
    derivatives[:, 4] = 1.0
    derivatives[:, 5] = drafter.value
    derivatives[:, 8] = points.ridge_flop_per_byte * theta[5] * drafter.by_ridge
    derivatives[:, 9] = theta[5] * drafter.by_base
    return derivatives
