"""From the chance of one drafted token to that of all candidates of a depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.config import MAX_DRAFT_TOKENS

if TYPE_CHECKING:
    from simulator.speculation.config import SpeculationConfig

Floats = NDArray[np.float64]


class Candidates:
    """What a round proposes: the drafter's first choice, or several, or now and then nothing.

    Of k candidates after the same text one is right with chance
    ``1 - (1 - alpha) (1 - q_2) ... (1 - q_k)``: the first with chance alpha, candidate r with
    chance q_r given that those before it are wrong. That is also how recursive rejection sampling
    accepts one of k candidates at temperatures above zero (SpecInfer, arXiv 2305.09781). The first
    position is multiplied by the share of rounds that propose anything.

    Parameters
    ----------
    widths
        Candidates by depth; deeper than that there is one.
    ranks
        ``q_2, q_3, ...``; the last one repeats. Not looked at where all widths are one.
    proposal_rate
        Share of the rounds that propose anything.

    Examples
    --------
    >>> tree = Candidates([2, 1], [0.5])
    >>> tree.survival(np.array([0.6, 0.6]))[:2].round(3).tolist()
    [0.8, 0.48]
    """

    def __init__(
        self, widths: Sequence[int] = (), ranks: Sequence[float] = (), proposal_rate: float = 1.0
    ) -> None:
        missed = np.ones(MAX_DRAFT_TOKENS)
        for depth, width in enumerate(widths[:MAX_DRAFT_TOKENS]):
            for candidate in range(width - 1):
                missed[depth] *= 1.0 - ranks[min(candidate, len(ranks) - 1)]
        self._gain = 1.0 - missed
        self._proposal_rate = proposal_rate

    def chance(self, alpha: Floats, position: int) -> Floats:
        """Return the chance that a position passes, given that those before it did.

        Parameters
        ----------
        alpha
            Chance of the first candidate: float64[...].
        position
            Position in the draft, from 0.
        """
        chance: Floats = alpha + (1.0 - alpha) * self._gain[position]
        if position == 0:
            chance *= self._proposal_rate
        return chance

    def runs(self, alpha: Floats, gamma: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw ``min(L, gamma)`` of rounds whose positions all have one rate.

        Parameters
        ----------
        alpha
            Chance of the first candidate by round: float64[rounds].
        gamma
            Depth of the drafts.
        generator
            Where randomness comes from: a uniform draw a round.
        """
        uniforms = generator.random(alpha.size)
        accepted, survival = np.zeros(alpha.size, np.int8), np.ones(alpha.size)
        for position in range(gamma):
            survival *= self.chance(alpha, position)
            accepted += (uniforms < survival).view(np.int8)
        return accepted.astype(np.int64)

    def survival(self, alphas: Floats) -> Floats:
        """Return ``P(L >= i)`` for i = 1, 2, ...

        Parameters
        ----------
        alphas
            Chance of the first candidate by position, along the last axis: float64[..., positions].
        """
        passed = alphas + (1.0 - alphas) * self._gain[: alphas.shape[-1]]
        passed[..., 0] *= self._proposal_rate
        survival: Floats = np.cumprod(passed, axis=-1, dtype=np.float64)
        return survival


def candidates_of(config: SpeculationConfig) -> Candidates:
    """Return what the rounds of a configuration propose."""
    return Candidates(config.tree, config.tree_ranks, config.proposal_rate)
