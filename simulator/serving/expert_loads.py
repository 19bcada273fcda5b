"""Rows of the loads of experts, of every so-many-th step of a replica."""

from __future__ import annotations

import numpy as np
import simpy

from simulator.costs.exchanged import ExchangedBytes
from simulator.costs.sampled import DrawnStep
from simulator.serving.tick import Tick
from simulator.trace.writer import BLOCK_ROWS, RowSink


class LoadRows:
    """Writes what each rank got in each layer.

    Parameters
    ----------
    replica
        Number of the replica.
    exchanged
        Bytes of the exchange around the experts.
    every
        Steps from one that is written to the next; the first is.
    trace
        Where the rows go; None for nowhere.
    """

    def __init__(
        self, replica: int, exchanged: ExchangedBytes, every: int, trace: RowSink | None
    ) -> None:
        self._replica, self._exchanged, self._every = replica, exchanged, every
        self._trace = trace
        self._ended = 0

    def ended(self, drawn: DrawnStep) -> None:
        """Count a step that has ended, and write it if its turn has come."""
        iteration = self._ended
        self._ended += 1
        if self._trace is None or iteration % self._every:
            return
        tokens = sum(part.loads.tokens for part in drawn.parts)
        active = sum(part.loads.active for part in drawn.parts)
        reached, left = np.zeros_like(tokens), np.zeros_like(tokens)
        for part in drawn.parts:
            brought, sent = self._exchanged.by_rank(self._exchanged.of(part.tokens, part.loads))
            reached, left = reached + brought, left + sent
        layer, rank = np.indices(tokens.shape)
        columns = (layer, rank, tokens, active, reached, left)
        values = zip(*(column.ravel().tolist() for column in columns), strict=True)
        self._trace.rows.extend((self._replica, iteration, *row) for row in values)
        if len(self._trace.rows) >= BLOCK_ROWS:
            self._trace.flush()


class DrawnSteps:
    """Waits out steps whose loads are drawn, and writes these when a step has ended.

    Parameters
    ----------
    env
        The SimPy environment.
    rows
        Writes the loads.
    """

    def __init__(self, env: simpy.Environment, rows: LoadRows) -> None:
        self._env, self._rows = env, rows
        self._tick = Tick(env)
        self._drawn: DrawnStep | None = None

    def take(self, drawn: DrawnStep) -> None:
        """Take what was drawn for the step to come."""
        self._drawn = drawn

    def follow(self, duration_s: float) -> simpy.Event:
        """Start a step that step costs say takes so long; return what happens at its end."""
        tick = self._tick.after(duration_s)
        tick.callbacks.append(self._end)
        return tick

    def abandon(self) -> None:
        """Forget the step under way, if there is one: its replica is lost."""
        self._tick.callbacks = []
        self._tick = Tick(self._env)

    def _end(self, _: simpy.Event) -> None:
        if self._drawn is not None:
            self._rows.ended(self._drawn)
