"""Popularity tiers of experts from token totals of the ranks that hold them.

An expert-parallel engine counts the tokens that each rank receives, not those of each expert. Each
expert belongs to one of a few tiers of popularity. A placement of experts on ranks gives one total
per rank; another placement gives other totals. Which tiers agree with all totals is a set of linear
equations over zeros and ones, solved by HiGHS through scipy. With ``z[e, t] = 1`` where expert e is
of tier t, and ``tokens[t]`` what an expert of that tier receives,

    sum_t z[e, t] = 1,    |sum_{e on rank} sum_t tokens[t] z[e, t] - total| <= tolerance * total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, kron, vstack

from simulator.errors import InvariantError
from simulator.streams import Streams
from simulator.study.identify.placements import Placement

STREAM = "identify.tiers"
"""Stream of the tiers that are assumed where a plan does not give them, block 0."""

_ROUNDING = 1e-6
"""Tokens by which an exact total may be off."""

Tiers = NDArray[np.int64]


def assumed_tiers(experts: int, tiers: int, seed: int) -> Tiers:
    """Draw a tier for each expert, all equally likely, shape (E,)."""
    return Streams(seed).block(STREAM, 0).integers(0, tiers, experts)


@dataclass(frozen=True, slots=True)
class Totals:
    """Token totals of ranks under several placements, and the tiers behind them.

    Parameters
    ----------
    tokens
        Tokens that an expert of each tier receives, shape (T,).
    truth
        Tier of each expert, shape (E,).
    placements
        What was observed, in order.
    tolerance
        Relative error of a total; 0 for exact counts.
    """

    tokens: NDArray[np.float64]
    truth: Tiers
    placements: tuple[Placement, ...]
    tolerance: float

    def of(self, tiers: Tiers, placement: Placement) -> NDArray[np.float64]:
        """Return what the ranks of a placement would receive, shape (R,)."""
        return np.array([self.tokens[tiers[list(rank)]].sum() for rank in placement])

    def agree(self, tiers: Tiers, placement: Placement) -> bool:
        """Say whether totals could not tell some tiers from the true ones."""
        read = self.of(self.truth, placement)
        return bool(np.all(np.abs(self.of(tiers, placement) - read) <= self._slack(read)))

    def incidence(self) -> NDArray[np.float64]:
        """Return which experts each total sums, shape (totals, E)."""
        ranks = [rank for placement in self.placements for rank in placement]
        rows = np.zeros((len(ranks), len(self.truth)))
        for row, rank in zip(rows, ranks, strict=True):
            row[list(rank)] = 1.0
        return rows

    def other(self, frozen: NDArray[np.bool_]) -> Tiers | None:
        """Find tiers that agree with all totals and differ for some expert in question.

        Parameters
        ----------
        frozen
            Experts in question, shape (E,), at least one.

        Returns
        -------
        ndarray or None
            A tier for each expert; None proves that all of them are determined.
        """
        experts, kinds = len(self.truth), len(self.tokens)
        incidence = self.incidence()
        read = incidence @ self.tokens[self.truth]
        slack = self._slack(read)
        same = np.zeros((experts, kinds))
        same[frozen, self.truth[frozen]] = 1.0
        rows = vstack(
            [
                kron(csr_array(np.eye(experts)), csr_array(np.ones((1, kinds)))),
                kron(csr_array(incidence), csr_array(self.tokens[None])),
                csr_array(same.reshape(1, -1)),
            ]
        )
        low = np.concatenate([np.ones(experts), read - slack, [0.0]])
        high = np.concatenate([np.ones(experts), read + slack, [frozen.sum() - 1.0]])
        found = milp(
            np.zeros(experts * kinds),
            constraints=LinearConstraint(rows, low, high),
            integrality=np.ones(experts * kinds),
            bounds=Bounds(0, 1),
        )
        if found.status == _INFEASIBLE:
            return None
        if found.x is None:
            raise InvariantError(f"HiGHS gave up on a search for tiers: {found.message}")
        tiers: Tiers = found.x.reshape(experts, kinds).argmax(axis=1)
        return tiers

    def _slack(self, read: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(self.tolerance * read, _ROUNDING)


_INFEASIBLE = 2
"""Status of `scipy.optimize.milp`."""


@dataclass(frozen=True, slots=True)
class TierBackbone:
    """Experts whose tier is determined.

    Parameters
    ----------
    free
        Experts whose tier is not, shape (E,).
    twins
        Other tiers that agree with all totals, those found on the way.
    solves
        Searches that it took: at most one per expert and one more.
    """

    free: NDArray[np.bool_]
    twins: tuple[Tiers, ...]
    solves: int


def tier_backbone(totals: Totals, known: Sequence[Tiers] = ()) -> TierBackbone:
    """Find the experts whose tier all solutions share, without listing the solutions.

    The true tiers are a solution. Any other one frees the experts in which it differs; when there
    is none that differs in an expert still in question, those are determined.

    Parameters
    ----------
    totals
        What was observed.
    known
        Tiers that may agree, such as those found with fewer placements.
    """
    twins = [
        tiers for tiers in known if all(totals.agree(tiers, place) for place in totals.placements)
    ]
    free = np.zeros(len(totals.truth), bool)
    for tiers in twins:
        free |= tiers != totals.truth
    solves = 0
    while not free.all():
        solves += 1
        found = totals.other(~free)
        if found is None:
            break
        agrees = all(totals.agree(found, placement) for placement in totals.placements)
        if not agrees or not (found != totals.truth)[~free].any():
            raise InvariantError("a search for other tiers returned what it was to avoid")
        twins.append(found)
        free |= found != totals.truth
    return TierBackbone(free, tuple(twins), solves)
