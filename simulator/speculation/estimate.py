"""What a server can know of its drafter: acceptance by position, measured as it goes."""

from __future__ import annotations

from itertools import accumulate
from math import exp
from operator import mul

import numpy as np
from numpy.typing import NDArray


class AcceptanceEstimate:
    """Running estimate of the chance that a drafted token is accepted, given those before it were.

    Of each position it counts the drafts that reached it and those that passed it. Counts fade
    over ``memory_rounds`` rounds of a request, whether or not these drafted. Every position starts
    with one draft that passed: what was never measured, or not for long, is worth a try. So a
    policy that stopped drafting comes to draft again.

    Parameters
    ----------
    gamma
        Longest draft.
    memory_rounds
        Rounds after which a count weighs 1/e.

    Examples
    --------
    >>> estimate = AcceptanceEstimate(2, memory_rounds=10_000)
    >>> estimate.observe(2, np.array([0, 1, 2, 2]))  # three of four pass position 1
    >>> [round(rate, 2) for rate in estimate.rates()]  # and two of these position 2
    [0.8, 0.75]
    >>> round(estimate.tokens_per_round(1), 2)
    1.8
    """

    def __init__(self, gamma: int, memory_rounds: float) -> None:
        self._memory_rounds = memory_rounds
        # Lists: at ten elements NumPy's calls would take longer than the arithmetic.
        self._reached = [0.0] * gamma
        self._passed = [0.0] * gamma

    def observe(self, gamma: int, accepted: NDArray[np.int64]) -> None:
        """Count a step: its draft length, and the drafted tokens accepted by request."""
        rounds = len(accepted)
        if not rounds:
            return
        kept = exp(-rounds / self._memory_rounds)
        self._reached = [count * kept for count in self._reached]
        self._passed = [count * kept for count in self._passed]
        if gamma:
            exactly = np.bincount(accepted, minlength=gamma + 1).tolist()
            at_least = rounds
            for position in range(gamma):
                self._reached[position] += at_least
                at_least -= exactly[position]
                self._passed[position] += at_least

    def rates(self) -> list[float]:
        """Return the conditional rates by position."""
        pairs = zip(self._passed, self._reached, strict=True)
        return [(passed + 1.0) / (reached + 1.0) for passed, reached in pairs]

    def tokens_by_gamma(self) -> list[float]:
        """Return the tokens that a round is expected to emit at each draft length, from 0 on.

        ``1 + sum_{i <= gamma} prod_{j <= i} rate_j``.
        """
        return list(accumulate(accumulate(self.rates(), mul), initial=1.0))

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens that a round with a draft length is expected to emit."""
        return self.tokens_by_gamma()[gamma]
