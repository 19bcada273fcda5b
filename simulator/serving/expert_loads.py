"""Rows of the steps of a replica whose loads of experts are drawn: times, and what ranks get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep
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
