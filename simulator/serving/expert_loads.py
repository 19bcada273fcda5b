"""Rows of the steps of a replica whose loads of experts are drawn: times, and what ranks get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import simpy

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep
from simulator.serving.tick import Tick
from simulator.trace.writer import BLOCK_ROWS, RowSink


class LoadRows:
    """Writes the times of every step, and what each rank got in each layer of some.

    Parameters
    ----------
    replica
        Number of the replica.
    exchanged
        Bytes of the exchange around the experts.
    every
        Steps from one whose loads are written to the next; the first is.
    loads, times
        Where the rows go; None for nowhere.
    """

    def __init__(
        self,
        replica: int,
        exchanged: ExchangedBytes,
        every: int,
        loads: RowSink | None,
        times: RowSink | None,
    ) -> None:
        self._replica, self._exchanged, self._every = replica, exchanged, every
        self._loads, self._times = loads, times
        self._ended = 0

    def ended(self, drawn: DrawnStep, duration_s: float, held_up_s: float = 0.0) -> None:
        """Write a step that has ended.

        Parameters
        ----------
        drawn
            What was drawn.
        duration_s
            What it took, s.
        held_up_s
            What its exchanges lost to others on their links, s.
        """
        iteration, self._ended = self._ended, self._ended + 1
        if self._times is not None:
            times_s = (drawn.expected_s, drawn.drawn_s, duration_s, held_up_s, drawn.moving_s)
            self._times.rows.append((self._replica, iteration, *times_s))
            _flush(self._times)
        if self._loads is not None and iteration % self._every == 0:
            self._loads.rows.extend(self._ranks(iteration, drawn))
            _flush(self._loads)

    def _ranks(self, iteration: int, drawn: DrawnStep) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each rank of each layer."""
        tokens, active = drawn.whole.loads.tokens, drawn.whole.loads.active
        sent = self._exchanged.of(drawn.whole.tokens, drawn.whole.loads)
        reached, left = (
            np.broadcast_to(one, tokens.shape) for one in self._exchanged.by_rank(sent)
        )
        layer, rank = np.indices(tokens.shape)
        columns = (layer, rank, tokens, active, reached, left)
        for row in zip(*(column.ravel().tolist() for column in columns), strict=True):
            yield self._replica, iteration, *row


def _flush(trace: RowSink) -> None:
    if len(trace.rows) >= BLOCK_ROWS:
        trace.flush()


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
        self._duration_s = 0.0

    def take(self, drawn: DrawnStep) -> None:
        """Take what was drawn for the step to come."""
        self._drawn = drawn

    def follow(self, duration_s: float) -> simpy.Event:
        """Start a step that step costs say takes so long; return what happens at its end."""
        self._duration_s = duration_s
        tick = self._tick.after(duration_s)
        tick.callbacks.append(self._end)
        return tick

    def abandon(self) -> None:
        """Forget the step under way, if there is one: its replica is lost."""
        self._tick.callbacks = []
        self._tick = Tick(self._env)

    def _end(self, _: simpy.Event) -> None:
        if self._drawn is not None:
            self._rows.ended(self._drawn, self._duration_s)
