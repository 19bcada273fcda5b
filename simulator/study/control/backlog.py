"""How many requests a replica has: a birth-death process, and its chain by buckets.

Requests arrive at rate lambda (Poisson) and leave at rate mu(n) while n of them are there, of which
at most ``max_num_seqs`` run:

``mu(n) = 1 / (L T(m, gamma) / (m t) + T_prompt)``,  ``m = min(n, max_num_seqs)``

with L output tokens of a request, t tokens of a round at draft length gamma, T its time on a batch
of m from the step model, and T_prompt the time of a prompt by itself. Requests that find
``max_num_seqs + max_queue`` there are refused, as the simulator does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Floats = NDArray[np.float64]


def moves(arrivals_per_s: float, leaving_per_s: Floats, interval_s: float) -> Floats:
    """Return how the number of requests moves within an interval.

    Parameters
    ----------
    arrivals_per_s
        lambda.
    leaving_per_s
        mu(n) for n = 1 .. N.
    interval_s
        Length of the interval.

    Returns
    -------
    ndarray
        ``P(n' | n) = exp(G interval)`` with the generator G of the process, float64[N + 1, N + 1].

    Examples
    --------
    >>> moves(1.0, np.array([2.0, 2.0]), 1e6)[0].round(3).tolist()  # 1, 1/2, 1/4 in proportion
    [0.571, 0.286, 0.143]
    """
    most = len(leaving_per_s)
    generator = np.diag(np.full(most, arrivals_per_s), 1) + np.diag(leaving_per_s, -1)
    generator -= np.diag(generator.sum(axis=1))
    return np.asarray(expm(generator * interval_s))


def bucket_of(requests: NDArray[np.int64] | int, edges: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the bucket of a number of requests; ``edges`` are the last numbers of all but one.

    Examples
    --------
    >>> bucket_of(np.array([0, 4, 5, 99]), (4, 8)).tolist()
    [0, 0, 1, 2]
    """
    return np.searchsorted(np.asarray(edges), requests, side="left")


@dataclass(frozen=True, slots=True)
class Lumping:
    """Numbers of requests put together in buckets.

    A bucket stands for its numbers (and levels of the load) as they are spread in the long run of a
    reference. That the next bucket depends on the present one alone is an assumption
    (`study.control.surrogate` says what it costs).

    Parameters
    ----------
    weights
        Long-run shares of the reference by level of the load, phase and number: float64[V, 2, N+1].
    edges
        Last numbers of all buckets but the last, rising.
    """

    weights: Floats
    edges: tuple[int, ...]

    @property
    def members(self) -> Floats:
        """Whether a number belongs to a bucket: float64[B, N + 1]."""
        buckets = bucket_of(np.arange(self.weights.shape[-1]), self.edges)
        return np.asarray(buckets == np.arange(len(self.edges) + 1)[:, None], float)

    @property
    def within(self) -> Floats:
        """Spread of each phase and bucket over levels and numbers: float64[V, 2, B, N + 1]."""
        spread = self.weights[:, :, None, :] * self.members
        found: Floats = spread / spread.sum(axis=(0, 3), keepdims=True)
        return found

    def chain(self, moved: Floats) -> Floats:
        """Return the chain over buckets of moves float64[V, A, 2, N + 1, N + 1].

        Returns
        -------
        ndarray
            ``Q[a, p, b, b']``, float64[A, 2, B, B].
        """
        found = np.einsum("vpbn,vapnm,cm->apbc", self.within, moved, self.members, optimize=True)
        return np.asarray(found / found.sum(axis=-1, keepdims=True))
