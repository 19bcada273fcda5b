"""Acceptance that depends on the position in the draft alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.candidates import Candidates
from simulator.speculation.config import MAX_DRAFT_TOKENS


class PositionAcceptance:
    """A drafted token is accepted with a chance that depends on its position alone.

    Parameters
    ----------
    alphas
        Conditional acceptance rates by position, each in [0, 1]; the last repeats.
    candidates
        What a round proposes; None for one token at every position.

    Examples
    --------
    >>> model = PositionAcceptance([0.8, 0.5])
    >>> model.tokens_per_round(2)
    2.2
    >>> model.accepted(np.array([0.9, 0.5, 0.3]), gamma=2).tolist()
    [0, 1, 2]
    """

    by_token = False

    def __init__(self, alphas: Sequence[float], candidates: Candidates | None = None) -> None:
        rates = np.asarray(alphas, float)
        padded = np.concatenate([rates, np.full(MAX_DRAFT_TOKENS, rates[-1])])[:MAX_DRAFT_TOKENS]
        self.survival = (candidates or Candidates()).survival(padded)
        """P(L >= i) for i = 1, 2, ...: float64[MAX_DRAFT_TOKENS]."""

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw every run by itself (`acceptance.Acceptance`)."""
        return self.accepted(generator.random(int(output_tokens.sum())), gamma)

    def accepted(self, uniforms: NDArray[np.float64], gamma: int) -> NDArray[np.int64]:
        """Count the positions up to gamma that survive with more than u.

        That is ``min(L, gamma)`` with L by inversion of uniform draws in [0, 1). One comparison a
        position takes 0.3 ns a draw where bytes are counted, a binary search in the survival
        function 17 ns.
        """
        accepted = np.zeros(uniforms.shape, np.int8)  # MAX_DRAFT_TOKENS fits
        for chance in self.survival[:gamma]:
            accepted += (uniforms < chance).view(np.int8)
        return accepted.astype(np.int64)

    def tokens_per_round(self, gamma: int) -> float:
        """Return ``1 + sum_{i <= gamma} P(L >= i)``."""
        return float(1.0 + self.survival[:gamma].sum())
