"""How many drafted tokens the target accepts.

A round's *uncapped* accepted-run length L is one draw; a draft of gamma tokens has ``min(L,
gamma)`` accepted. So every draft length, and plain decoding, see the same draws (common random
numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.registry import Registry
from simulator.speculation.config import MAX_DRAFT_TOKENS, SpeculationConfig


class Acceptance(Protocol):
    """What an acceptance model offers."""

    def accepted(self, uniforms: NDArray[np.float64], gamma: int) -> NDArray[np.int64]:
        """Map uniform draws in [0, 1), one a round, to ``min(L, gamma)``."""
        ...

    def tokens_per_round(self, gamma: int) -> float:
        """Return the expected tokens of a round with draft length gamma, bonus token included."""
        ...


ACCEPTANCE: Registry[Callable[[SpeculationConfig], Acceptance]] = Registry("acceptance model")


class PositionAcceptance:
    """A drafted token is accepted with a chance that depends on its position alone.

    Parameters
    ----------
    alphas
        Conditional acceptance rates by position, each in [0, 1]; the last repeats.

    Examples
    --------
    >>> model = PositionAcceptance([0.8, 0.5])
    >>> model.tokens_per_round(2)
    2.2
    >>> model.accepted(np.array([0.9, 0.5, 0.3]), gamma=2).tolist()
    [0, 1, 2]
    """

    def __init__(self, alphas: Sequence[float]) -> None:
        rates = np.asarray(alphas, float)
        padded = np.concatenate([rates, np.full(MAX_DRAFT_TOKENS, rates[-1])])[:MAX_DRAFT_TOKENS]
        self.survival = np.cumprod(padded)
        """P(L >= i) for i = 1, 2, ...: float64[MAX_DRAFT_TOKENS]."""

    def accepted(self, uniforms: NDArray[np.float64], gamma: int) -> NDArray[np.int64]:
        """Count the positions up to gamma that survive with more than u.

        That is ``min(L, gamma)`` with L by inversion. One comparison a position takes 0.3 ns a
        draw where bytes are counted, a binary search in the survival function 17 ns.
        """
        accepted = np.zeros(uniforms.shape, np.int8)  # MAX_DRAFT_TOKENS fits
        for chance in self.survival[:gamma]:
            accepted += (uniforms < chance).view(np.int8)
        return accepted.astype(np.int64)

    def tokens_per_round(self, gamma: int) -> float:
        """Return ``1 + sum_{i <= gamma} P(L >= i)``."""
        return float(1.0 + self.survival[:gamma].sum())


@ACCEPTANCE.register("iid")
def iid(config: SpeculationConfig) -> PositionAcceptance:
    """Accept every drafted token with the same chance."""
    return PositionAcceptance([config.alpha or 0.0])


@ACCEPTANCE.register("by_position")
def by_position(config: SpeculationConfig) -> PositionAcceptance:
    """Accept with a chance that depends on the position in the draft."""
    return PositionAcceptance(config.alphas)
