"""Acceptance that changes along the text: stretches easy to draft, and stretches that are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig
from simulator.speculation.position import PositionAcceptance

Floats = NDArray[np.float64]
HIGH, LOW = 0, 1

_NO_VARIANCE = 1e-12
"""Variance of accepted tokens below which rounds are all alike, but for rounding."""


class RegimeAcceptance:
    """A hidden state, easy or hard, follows a two-state Markov chain in token time.

    With every emitted token easy text ends with chance ``1 / high_tokens`` and hard text with
    chance ``1 / low_tokens``; a request begins in the stationary distribution. All positions of a
    round are accepted with the rate of the state at the token that the round starts after. Longer
    rounds thus see fewer states per token, and the same text whatever the draft length.

    Source of the usual values: Qwen3-30B-A3B with an EAGLE-3 head under vLLM, gamma 3, 50 prompts
    under 4 engine settings, 9,149 rounds (server logs in github.com/Li-changwu/MoE-SD). A two-state
    chain per round is more likely than one rate by a log-likelihood ratio of 102 to 119 in each of
    the four; it has alpha .83-.85 and .52-.53, and stretches of 13 and 50 rounds, 40 and 97 tokens.

    Parameters
    ----------
    regime
        Rates and lengths of the stretches.
    candidates
        What a round proposes.

    Examples
    --------
    >>> model = RegimeAcceptance(RegimeConfig(
    ...     alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97), Candidates())
    >>> round(model.high_share, 3), round(model.tokens_per_round(3), 2)
    (0.292, 2.19)
    """

    by_token = True

    def __init__(self, regime: RegimeConfig, candidates: Candidates) -> None:
        self._states = (
            PositionAcceptance([regime.alpha_high], candidates),
            PositionAcceptance([regime.alpha_low], candidates),
        )
        leave_high, leave_low = 1.0 / regime.high_tokens, 1.0 / regime.low_tokens
        self.high_share = leave_low / (leave_high + leave_low)
        """Share of the tokens in easy text."""
        self.persistence = 1.0 - leave_high - leave_low
        """Correlation of the states of tokens that follow each other."""

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the states of every token, and a run at each (`acceptance.Acceptance`)."""
        high = self.states(output_tokens, generator)
        uniforms = generator.random(high.size)
        easy, hard = (state.accepted(uniforms, gamma) for state in self._states)
        return np.where(high, easy, hard)

    def states(
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

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of all rounds over their number, in a long text.

        Rounds see a chain of their own: its steps are as long as a round, so hard text, whose
        rounds are short, has more of them than of the tokens.
        """
        return float(1.0 + self._by_round(gamma) @ self._moment(gamma, 1).sum(axis=1))

    def variance_inflation(self, gamma: int, rounds: int) -> float:
        """Return how much more the mean of consecutive rounds varies than that of independent ones.

        Of their accepted tokens, in a long text, as a ratio of variances:
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
        """Return the shares of the rounds that start in either state: float64[2]."""
        step = self._moment(gamma, 0)
        to_low, to_high = step[HIGH, LOW], step[LOW, HIGH]
        shares: Floats = np.array([to_high, to_low]) / (to_high + to_low)
        return shares

    def _moment(self, gamma: int, power: int) -> Floats:
        """Return ``sum_k k^power P(k accepted, next state | state)``: float64[2, 2]."""
        share = np.array([self.high_share, 1.0 - self.high_share])
        found = np.zeros((2, 2))
        for accepted, chances in enumerate(self._exactly(gamma)):
            kept = self.persistence ** (accepted + 1)
            moved = kept * np.eye(2) + (1.0 - kept) * share
            found += float(accepted) ** power * chances[:, None] * moved
        return found

    def _exactly(self, gamma: int) -> Floats:
        """Return the chances of k accepted tokens by state: float64[gamma + 1, 2]."""
        survival = np.array([state.survival[:gamma] for state in self._states]).T
        bounds = np.vstack([np.ones(2), survival, np.zeros(2)])
        exactly: Floats = bounds[:-1] - bounds[1:]
        return exactly
