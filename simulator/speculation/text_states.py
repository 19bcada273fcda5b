"""A text with easy and hard stretches, and the rounds that pass through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HIGH, LOW = 0, 1
"""Rows of the states: easy text, where much is accepted, and hard text."""

_NO_VARIANCE = 1e-12
"""Variance of accepted tokens below which rounds are all alike, but for rounding."""


class TextStates:
    """Easy and hard text by a two-state Markov chain over the tokens of a request.

    With every token easy text ends with chance ``1 / high_tokens`` and hard text with chance
    ``1 / low_tokens``; a request begins in the stationary distribution.

    Parameters
    ----------
    high_tokens, low_tokens
        Mean length of a stretch of either, tokens.
    """

    def __init__(self, high_tokens: float, low_tokens: float) -> None:
        leave_high, leave_low = 1.0 / high_tokens, 1.0 / low_tokens
        self.high_share = leave_low / (leave_high + leave_low)
        """Share of the tokens in easy text."""
        self.persistence = 1.0 - leave_high - leave_low
        """Correlation of the states of tokens that follow each other."""

    def draw(
        self, output_tokens: NDArray[np.int64], generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw whether each token is in easy text: bool[sum(output_tokens)].

        The chain keeps its state with chance ``persistence``, or else takes one anew from the
        stationary distribution. One uniform decides both.
        """
        uniforms = generator.random(int(output_tokens.sum()))
        anew = 1.0 - self.persistence
        renewed, high = uniforms < anew, uniforms < anew * self.high_share
        first = np.cumsum(output_tokens) - output_tokens
        renewed[first], high[first] = True, uniforms[first] < self.high_share
        since = np.maximum.accumulate(np.where(renewed, np.arange(uniforms.size), 0))
        return high[since]


class RoundsByState:
    """Statistics of the rounds of a long text whose acceptance depends on its state.

    A round is accepted with the rates of the state at the token that it starts after. Rounds see a
    chain of their own: its steps are as long as a round, so hard text, whose rounds are short, has
    more of them than of the tokens.

    Parameters
    ----------
    text
        The states of the text.
    survival
        ``P(L >= i)`` by state for i = 1, 2, ...: float64[..., 2, positions], by text in front.
    """

    def __init__(self, text: TextStates, survival: Floats) -> None:
        self._text = text
        self._survival = survival

    def mean(self, gamma: int) -> Floats:
        """Return the accepted tokens of all rounds over their number: float64[...] by text."""
        accepted = self._survival[..., :gamma].sum(axis=-1)
        found: Floats = (self._by_round(gamma) * accepted).sum(axis=-1)
        return found

    def variance_inflation(self, gamma: int, rounds: int) -> float:
        """Return how much more the mean of consecutive rounds varies than that of independent ones.

        Of the accepted tokens of one text, as a ratio of variances:
        ``1 + 2 sum_{n < W} (1 - n / W) cov_n / var``, where
        ``cov_n = v A Q^(n - 1) A 1 - (v A 1)^2`` with the stationary distribution v of the states
        at rounds, their transitions Q, and ``A = sum_k k P(state, k accepted, next state)``.
        """
        start, step = self._by_round(gamma), self._moment(gamma, 0)
        weighted = self._moment(gamma, 1)
        mean = float(start @ weighted.sum(axis=1))
        variance = float(start @ self._moment(gamma, 2).sum(axis=1)) - mean**2
        if variance < _NO_VARIANCE:
            return 1.0
        covariances, later = 0.0, weighted.sum(axis=1)
        for lag in range(1, rounds):
            covariances += (1.0 - lag / rounds) * float(start @ weighted @ later - mean**2)
            later = step @ later
        return 1.0 + 2.0 * covariances / variance

    def _by_round(self, gamma: int) -> Floats:
        """Return the shares of the rounds that start in either state: float64[..., 2].

        A round with k accepted tokens keeps its state with chance ``persistence**(k + 1)``, or else
        takes one anew.
        """
        kept = self._exactly(gamma) @ self._text.persistence ** np.arange(1, gamma + 2)
        share = self._text.high_share
        to_high, to_low = (1.0 - kept[..., LOW]) * share, (1.0 - kept[..., HIGH]) * (1.0 - share)
        shares: Floats = np.stack([to_high, to_low], axis=-1) / (to_high + to_low)[..., None]
        return shares

    def _moment(self, gamma: int, power: int) -> Floats:
        """Return ``sum_k k^power P(k accepted, next state | state)``: float64[2, 2]."""
        share = np.array([self._text.high_share, 1.0 - self._text.high_share])
        found = np.zeros((2, 2))
        for accepted, chances in enumerate(self._exactly(gamma).T):
            kept = self._text.persistence ** (accepted + 1)
            moved = kept * np.eye(2) + (1.0 - kept) * share
            found += float(accepted) ** power * chances[:, None] * moved
        return found

    def _exactly(self, gamma: int) -> Floats:
        """Return the chances of k accepted tokens by state: float64[..., 2, gamma + 1]."""
        survival = self._survival[..., :gamma]
        ones = np.ones((*survival.shape[:-1], 1))
        bounds = np.concatenate([ones, survival, np.zeros_like(ones)], axis=-1)
        exactly: Floats = bounds[..., :-1] - bounds[..., 1:]
        return exactly
