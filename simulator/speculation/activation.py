"""Active experts under uniform routing, vectorised (MoESD, arXiv 2505.19645, section 3.1).

`simulator.experts.laws` holds the same law for one step at a time, where the event core needs it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def activated_experts(
    tokens: ArrayLike, experts: ArrayLike, top_k: ArrayLike
) -> NDArray[np.float64]:
    """Distinct experts of a layer that independently routed tokens activate (eq. 6 to 8).

    Parameters
    ----------
    tokens
        Tokens t of the step, >= 0.
    experts, top_k
        Routed experts E and how many a token uses, 1 <= K <= E. A dense layer is E = K = 1.

    Returns
    -------
    ndarray
        ``N(t) = E (1 - (1 - K/E)^t)``, experts, of the broadcast shape.

    Examples
    --------
    >>> activated_experts([1, 16, 1000], 64, 8).round(1).tolist()
    [8.0, 56.4, 64.0]
    """
    t, E, K = np.broadcast_arrays(*(np.asarray(x, float) for x in (tokens, experts, top_k)))
    dense = K >= E
    idle = np.log1p(-np.where(dense, 0.5, K / E))  # 0.5: any value, not used
    return np.where(dense, np.where(t > 0, E, 0.0), -E * np.expm1(t * idle))


def tokens_per_expert(
    tokens: ArrayLike, experts: ArrayLike, top_k: ArrayLike
) -> NDArray[np.float64]:
    """Mean tokens that an active expert works on (eq. 10).

    Parameters
    ----------
    tokens, experts, top_k
        As in `activated_experts`; tokens > 0.

    Returns
    -------
    ndarray
        ``t K / N(t)``, tokens. It rises with K/E: sparser models stay memory-bound for longer.

    Examples
    --------
    >>> tokens_per_expert(100, 64, [1, 8, 64]).round(2).tolist()
    [1.97, 12.5, 100.0]
    """
    work = np.asarray(tokens, float) * np.asarray(top_k, float)
    return np.asarray(work / activated_experts(tokens, experts, top_k))
