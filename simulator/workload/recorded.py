"""Replay of requests that are in memory, such as those of a run that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator.streams import Streams
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock


class TraceRow(NamedTuple):
    """One recorded request: arrival since the first, s, and lengths, tokens."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class RecordedWorkload:
    """Requests as they came, an open loop.

    Parameters
    ----------
    title
        One line for reports.
    rows
        The requests, at least one, in order of arrival.

    Examples
    --------
    >>> workload = RecordedWorkload("two", [TraceRow(0.0, 5, 2), TraceRow(0.5, 9, 4)])
    >>> workload.requests, workload.max_prompt_tokens, workload.mean_rate
    (2, 9, 2.0)
    """

    title: str
    rows: Sequence[TraceRow]

    @property
    def requests(self) -> int:
        """How many."""
        return len(self.rows)

    @property
    def concurrency(self) -> None:
        """None: an open loop."""
        return

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt, tokens."""
        return max(row.prompt_tokens for row in self.rows)

    @property
    def max_output_tokens(self) -> int:
        """Longest output, tokens."""
        return max(row.output_tokens for row in self.rows)

    @property
    def mean_rate(self) -> float | None:
        """Requests/s; None when all came at once."""
        span_s = self.rows[-1].arrival_s - self.rows[0].arrival_s
        return (len(self.rows) - 1) / span_s if span_s > 0 else None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was assumed."""
        return ("every replication replays the same requests",)

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Return the requests, block after block; the streams are not used."""
        del streams
        for first in range(0, len(self.rows), BLOCK_REQUESTS):
            arrivals, prompts, outputs = zip(
                *self.rows[first : first + BLOCK_REQUESTS], strict=True
            )
            yield RequestBlock(
                first,
                np.array(arrivals, dtype=float),
                np.array(prompts, dtype=np.int64),
                np.array(outputs, dtype=np.int64),
            )
