"""Acceptance of a profile: level, decay along the draft, differences of requests and of text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import MIN_STRETCH
from simulator.speculation.text_states import RoundsByState, TextStates

Floats = NDArray[np.float64]

_POINTS = 41
"""Points of the Gauss-Hermite quadrature over requests: acceptance lengths to a millionth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceShape:
    """What the acceptance of a drafter on a task depends on.

    ``alpha_i = decay^(i-1) / (1 + exp(-(level + spread z + gain [easy])))`` is the chance of
    position i, given that those before it were accepted, with z standard normal by request and easy
    text by a two-state chain over tokens (`text_states.TextStates`).

    Parameters
    ----------
    level
        Log-odds of the first position in hard text of the median request.
    decay
        Factor from each position to the next, in (0, 1].
    spread
        Standard deviation of the log-odds over requests, >= 0.
    gain
        Log-odds that easy text adds, >= 0.
    high_tokens, low_tokens
        Mean length of a stretch of easy and of hard text, tokens.

    Raises
    ------
    ConfigError
        If a figure is out of range.
    """

    level: float
    decay: float = 1.0
    spread: float = 0.0
    gain: float = 0.0
    high_tokens: float = 40.0
    low_tokens: float = 97.0

    def __post_init__(self) -> None:
        stretches = min(self.high_tokens, self.low_tokens) >= MIN_STRETCH
        if not (0.0 < self.decay <= 1.0 and self.spread >= 0.0 and self.gain >= 0.0 and stretches):
            raise ConfigError(
                f"an acceptance shape needs a decay in (0, 1], a spread and a gain of at least 0, "
                f"and stretches of {MIN_STRETCH:g} tokens or more; got {self!r}."
            )

    def shifted(self, logits: float) -> AcceptanceShape:
        """Return the shape at another level: of another task or temperature."""
        return replace(self, level=self.level + logits)


class ProfiledAcceptance:
    """Acceptance of an `AcceptanceShape`: decay, regime and heterogeneity at once.

    With gain and spread 0 it is acceptance by position; with decay 1 and spread 0 that of regimes;
    with decay 1 and gain 0 that of heterogeneous requests.

    Parameters
    ----------
    shape
        What it depends on.
    candidates
        What a round proposes.

    Examples
    --------
    >>> shape = AcceptanceShape(level=0.1, spread=0.28, gain=1.53)
    >>> round(ProfiledAcceptance(shape, Candidates()).tokens_per_round(3), 2)
    2.18
    """

    by_token = True

    def __init__(self, shape: AcceptanceShape, candidates: Candidates) -> None:
        self.shape = shape
        self._candidates = candidates
        self._text = TextStates(shape.high_tokens, shape.low_tokens)

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw states, requests and a run at each token (`acceptance.Acceptance`)."""
        shape = self.shape
        high = self._text.draw(output_tokens, generator)
        scores = generator.standard_normal(len(output_tokens))
        logits = np.repeat(shape.level + shape.spread * scores, output_tokens)
        alpha: Floats = scipy.special.expit(logits + shape.gain * high)
        uniforms = generator.random(alpha.size)
        accepted, survival = np.zeros(alpha.size, np.int8), np.ones(alpha.size)
        for position in range(gamma):
            survival *= self._candidates.chance(alpha, position)
            accepted += (uniforms < survival).view(np.int8)
            alpha *= shape.decay
        return accepted.astype(np.int64)

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of all rounds over their number, for long requests of equal length.

        The harmonic mean over requests, which have as many rounds as they need
        (`heterogeneous.HeterogeneousAcceptance`).
        """
        shape = self.shape
        scores, weights = scipy.special.roots_hermitenorm(_POINTS if shape.spread else 1)
        logits = (shape.level + shape.spread * scores)[:, None] + np.array([shape.gain, 0.0])
        decay = shape.decay ** np.arange(max(gamma, 1))
        survival = self._candidates.survival(scipy.special.expit(logits)[..., None] * decay)
        tokens = 1.0 + RoundsByState(self._text, survival).mean(gamma)
        return float(weights.sum() / (weights / tokens).sum())
