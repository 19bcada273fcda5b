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

    def wants(self, iteration: int) -> bool:
        """Tell whether a step is to be written."""
        return self._trace is not None and iteration % self._every == 0

    def write(self, iteration: int, drawn: DrawnStep) -> None:
        """Write a step that has ended."""
        if self._trace is None:
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
        self._iteration = 0

    def take(self, drawn: DrawnStep) -> None:
        """Take what was drawn for the step to come."""
        self._drawn = drawn

    def follow(self, iteration: int, duration_s: float) -> simpy.Event:
        """Start a step; return what happens at its end.

        Parameters
        ----------
        iteration
            Its number.
        duration_s
            What step costs say that it takes, s.
        """
        tick = self._tick.after(duration_s)
        if self._rows.wants(iteration):
            self._iteration = iteration
            tick.callbacks.append(self._write)
        return tick

    def abandon(self) -> None:
        """Forget the step under way: its replica is lost."""
        self._tick.callbacks = []
        self._tick = Tick(self._env)

    def _write(self, _: simpy.Event) -> None:
        if self._drawn is not None:
            self._rows.write(self._iteration, self._drawn)
