"""What draft tokens tell about their experts before the target verifies them.

Recorded routes may bring what a drafter saw of each token (column ``features``: hidden states,
scores of a small gate). Where they bring nothing, or routes are drawn, a `DraftView` stands in: a
linear code of the experts that a token will pick in a layer, through noise. That is what a gate
makes of the hidden states of its layer, read backwards; how much the drafter sees is the ratio of
code to noise, an assumption that says so.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.experts.pool import RoutePool
from simulator.streams import Streams

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DraftView:
    """How a drafter sees the experts of its tokens.

    Parameters
    ----------
    size
        Features d of a token for each layer.
    noise_sd
        Standard deviation of the noise on each feature, whose code has about unit variance.
    seed
        Of directions and noise.
    """

    size: int
    noise_sd: float
    seed: int

    def features(self, pool: RoutePool) -> Floats:
        """Return what the drafter sees of every token.

        Parameters
        ----------
        pool
            Routes of the tokens.

        Returns
        -------
        ndarray of float, shape (tokens, layers * d)
            For each layer ``sum over the experts picked of u[l, e] / sqrt(K) + noise``, with
            directions ``u`` of standard normal components, the same for all pools of a model's
            shape.
        """
        streams = Streams(self.seed)
        directions = streams.block("draft directions", 0).standard_normal(
            (pool.layers, pool.experts, self.size)
        )
        tokens = pool.chosen.shape[1]
        code = np.empty((tokens, pool.layers, self.size))
        for layer, chosen in enumerate(pool.chosen):
            members = np.zeros((tokens, pool.experts))
            np.put_along_axis(members, chosen.astype(np.int64), 1.0, axis=1)
            code[:, layer] = members @ directions[layer]
        code /= np.sqrt(pool.top_k)
        # Routes have noise of their own: that of training never comes back where they are served.
        own = zlib.crc32(np.sort(pool.chosen, axis=-1).tobytes())  # whatever order a token's have
        noise = streams.block("draft noise", own).standard_normal(code.shape)
        return (code + self.noise_sd * noise).reshape(tokens, -1)


@lru_cache(maxsize=2)
def seen_by(view: DraftView, pool: RoutePool) -> Floats:
    """Return `DraftView.features`, kept for the replicas that walk along the same routes."""
    return view.features(pool)


def memberships(pool: RoutePool) -> NDArray[np.bool_]:
    """Return whether each token picks each expert, shape (tokens, layers, E).

    Examples
    --------
    >>> pool = RoutePool(3, np.array([[[0, 2], [1, 2]]], dtype=np.uint8), np.array([2]))
    >>> memberships(pool)[:, 0].astype(int).tolist()
    [[1, 0, 1], [0, 1, 1]]
    """
    tokens = pool.chosen.shape[1]
    members = np.zeros((tokens, pool.layers, pool.experts), dtype=np.bool_)
    np.put_along_axis(members, pool.chosen.transpose(1, 0, 2).astype(np.int64), True, axis=2)
    return members
