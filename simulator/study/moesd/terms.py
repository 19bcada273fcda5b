"""The terms of MoESD's formula over batches: what calibration moves, without simulating again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.costs.engine import Engine
from simulator.speculation.acceptance import PositionAcceptance
from simulator.speculation.theory import speedup
from simulator.study.decomposition import decompose
from simulator.study.moesd.runs import CONTEXT_TOKENS, Cell, scenario

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of a plain step and of a round at each batch, seconds.

    Parameters
    ----------
    gamma
        Draft length.
    batch
        Requests.
    plain_s, verify_s
        ``T_T(B, 1)``, and the verify step of gamma + 1 tokens per request.
    added_s
        ``gamma T_D + T_rej``.
    """

    gamma: int
    batch: Floats
    plain_s: Floats
    verify_s: Floats
    added_s: Floats

    @property
    def target_efficiency(self) -> Floats:
        """``T_T(B, 1) / T_T(B, gamma + 1 tokens)``."""
        return self.plain_s / self.verify_s

    def with_draft_host(self, step_s: float, request_s: float) -> Terms:
        """Return the terms with more host time per draft step, and per request in it."""
        more = self.gamma * (step_s + request_s * self.batch)
        return Terms(self.gamma, self.batch, self.plain_s, self.verify_s, self.added_s + more)

    def with_round_host(self, step_s: float, request_s: float) -> Terms:
        """Return the terms with more host time per round, and per request in it."""
        more = step_s + request_s * self.batch
        return Terms(self.gamma, self.batch, self.plain_s, self.verify_s, self.added_s + more)

    def speedup(self, tokens_per_round: float) -> Floats:
        """Return the closed form (eq. 4)."""
        plain = self.plain_s
        return speedup(tokens_per_round, self.added_s / plain, self.verify_s / plain, 0.0)

    def at(self, batches: Sequence[int]) -> Terms:
        """Return the terms at some of the batches, in the order asked for."""
        known = self.batch.tolist()
        index = [known.index(batch) for batch in batches]
        columns = (self.batch, self.plain_s, self.verify_s, self.added_s)
        return Terms(self.gamma, *(column[index] for column in columns))


def terms(model: str, gamma: int, batches: Sequence[int], engine: Engine) -> Terms:
    """Price the terms of a pair on 2 x A800 at the mean context of its requests.

    Parameters
    ----------
    model
        Of the catalogue.
    gamma, batches
        Draft length >= 1, and requests.
    engine
        Its overheads.
    """
    built = scenario(Cell(model, 1, gamma, alpha=0.5), engine)  # no time depends on alpha
    nothing = PositionAcceptance([0.5])
    points = [
        decompose(built.step_model, nothing, batch, CONTEXT_TOKENS, gamma) for batch in batches
    ]
    plain = np.array([point.plain_step_s for point in points])
    added = np.array([point.draft_ratio + point.rejection_ratio for point in points])
    verify = np.array([point.verify_ratio for point in points])
    return Terms(gamma, np.array(batches, dtype=float), plain, plain * verify, plain * added)
