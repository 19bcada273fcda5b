"""Acceptance that changes along the text: stretches easy to draft, and stretches that are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.text_states import RoundsByState, TextStates


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
        self._models = (
            PositionAcceptance([regime.alpha_high], candidates),
            PositionAcceptance([regime.alpha_low], candidates),
        )
        self._text = TextStates(regime.high_tokens, regime.low_tokens)
        survival = np.array([model.survival for model in self._models])
        self._rounds = RoundsByState(self._text, survival)

    @property
    def high_share(self) -> float:
        """Share of the tokens in easy text."""
        return self._text.high_share

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the states of every token, and a run at each (`acceptance.Acceptance`)."""
        high = self._text.draw(output_tokens, generator)
        uniforms = generator.random(high.size)
        easy, hard = (model.accepted(uniforms, gamma) for model in self._models)
        return np.where(high, easy, hard)

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of all rounds over their number, in a long text (`RoundsByState`)."""
        return 1.0 + float(self._rounds.mean(gamma))

    def variance_inflation(self, gamma: int, rounds: int) -> float:
        """Return how much more windows of rounds vary than independent ones (`RoundsByState`)."""
        return self._rounds.variance_inflation(gamma, rounds)
