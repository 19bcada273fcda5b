"""The queries of one step of an attack, in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence

import simpy

from simulator.serving.tenants.query import Query
from simulator.serving.tenants.session import margin


class Burst:
    """Queries that are asked together, and what is learned from their replies.

    Parameters
    ----------
    env
        The SimPy environment.
    queries
        How many.
    label
        The right class of them all.
    """

    def __init__(self, env: simpy.Environment, queries: int, label: int) -> None:
        self._label = label
        self.margins = [math.nan] * queries
        """In the order of the queries; all there once `answered` has happened."""
        self._missing = queries
        self.answered = env.event()
        """Happens when the last reply has come."""
        self.gpu_s = 0.0

    def cut(self, sent: int) -> None:
        """Expect replies to those that have been sent only."""
        self._missing -= len(self.margins) - sent
        if not self._missing:
            self.answered.succeed()

    def take(self, query: Query, scores: Sequence[float], now_s: float) -> None:
        """Take the reply to one of the queries."""
        self.margins[query.place] = margin(scores, self._label)
        self.gpu_s += query.gpu_s
        self._missing -= 1
        if not self._missing:
            self.answered.succeed()
