"""Acceptance that differs between requests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.candidates import Candidates

Floats = NDArray[np.float64]

_FARTHEST, _POINTS = 8.5, 1025
"""Normal scores of the quadrature: equally spaced, converges exponentially on a normal density."""

_LARGEST_LOGIT = 700.0
"""Beyond, a rate is 0 or 1 in double precision, and its exponential would overflow."""


class HeterogeneousAcceptance:
    """Every request has an acceptance rate of its own, with a normal random effect on the logit.

    ``alpha_r = 1 / (1 + exp(-(logit(alpha) + spread z_r)))`` with z_r standard normal; within a
    request every drafted token is accepted independently with that rate.

    Source of the usual spread: 50 prompts of Qwen3-30B-A3B with an EAGLE-3 head under vLLM (server
    logs in github.com/Li-changwu/MoE-SD): a beta-binomial fit to the first position has mean .605
    and standard deviation .065 over requests, 0.28 on the logit.

    Parameters
    ----------
    alpha
        Rate of the median request, in (0, 1).
    spread
        Standard deviation on the logit, > 0.
    candidates
        What a round proposes.

    Examples
    --------
    >>> model = HeterogeneousAcceptance(0.6, 0.28, Candidates())
    >>> round(model.tokens_per_round(3), 3), round(1 + 0.6 + 0.6**2 + 0.6**3, 3)
    (2.161, 2.176)
    """

    by_token = False

    def __init__(self, alpha: float, spread: float, candidates: Candidates) -> None:
        self._logit = math.log(alpha / (1.0 - alpha))
        self._spread = spread
        self._candidates = candidates

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the rate of each request, then its runs (`acceptance.Acceptance`)."""
        rates = self.rates(generator.standard_normal(len(output_tokens)))
        return self._candidates.runs(np.repeat(rates, output_tokens), gamma, generator)

    def rates(self, scores: Floats) -> Floats:
        """Return the acceptance rates of requests with given normal scores: float64[...]."""
        logits = np.clip(self._logit + self._spread * scores, -_LARGEST_LOGIT, _LARGEST_LOGIT)
        return 1.0 / (1.0 + np.exp(-logits))

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of all rounds over their number, for requests of equal length.

        A request of n tokens takes ``n / t(alpha_r)`` rounds, so it is the harmonic mean of the
        tokens per round ``t`` of the requests: those that draft badly have more rounds.
        """
        scores = np.linspace(-_FARTHEST, _FARTHEST, _POINTS)
        weights = np.exp(-0.5 * scores**2)
        alphas = np.repeat(self.rates(scores)[:, None], max(gamma, 1), axis=1)
        tokens = 1.0 + self._candidates.survival(alphas)[:, :gamma].sum(axis=1)
        return float(weights.sum() / (weights / tokens).sum())
