"""Replay of a recorded trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from simulator.errors import DataError
from simulator.streams import Streams
from simulator.workload.readers import TraceReader
from simulator.workload.requests import BLOCK_REQUESTS, MAX_TOKENS, RequestBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWorkload:
    """The first rows of a trace file, as they were or faster.

    The file is read again at every replay, so memory does not depend on its length. Every
    replication replays the same requests. Made by ``open_trace``, which checks the rows and finds
    the bounds.

    Parameters
    ----------
    title, requests, max_prompt_tokens, max_output_tokens, mean_rate, assumptions
        As in ``Workload``; longer lengths are cut to the two bounds.
    path, reader
        The file and how to read it.
    rate_scale
        Recorded times are divided by it.
    """

    title: str
    requests: int
    max_prompt_tokens: int
    max_output_tokens: int
    mean_rate: float | None
    assumptions: tuple[str, ...]
    path: Path
    reader: TraceReader
    rate_scale: float

    @property
    def concurrency(self) -> None:
        """None: an open loop."""
        return

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Read the requests, block after block; the streams are not used.

        Raises
        ------
        DataError
            If the file has fewer rows than when it was opened.
        """
        rows = islice(self.reader(self.path), self.requests)
        for first_id in range(0, self.requests, BLOCK_REQUESTS):
            batch = list(islice(rows, BLOCK_REQUESTS))
            if len(batch) < min(BLOCK_REQUESTS, self.requests - first_id):
                raise DataError(f"{self.path} became shorter while it was replayed; run again.")
            arrival_s = np.array([row.arrival_s for row in batch])
            prompts = np.array([row.prompt_tokens for row in batch], dtype=np.int64)
            outputs = np.array([row.output_tokens for row in batch], dtype=np.int64)
            yield RequestBlock(
                first_id,
                arrival_s / self.rate_scale,
                np.minimum(prompts, self.max_prompt_tokens),
                np.minimum(outputs, self.max_output_tokens),
            )


def open_trace(
    path: Path,
    reader: TraceReader,
    requests: int,
    *,
    rate_scale: float = 1.0,
    max_prompt_tokens: int | None = None,
    max_output_tokens: int | None = None,
) -> TraceWorkload:
    """Read a trace once, check its rows and return its replay.

    Parameters
    ----------
    path, reader
        The file and how to read it.
    requests
        Replay at most so many rows; only these are read and checked.
    rate_scale
        Replay this many times faster.
    max_prompt_tokens, max_output_tokens
        Cut longer lengths to these, tokens. None: as recorded.

    Raises
    ------
    DataError
        If a row is malformed; the message names the file and the line.
    """
    caps = max_prompt_tokens or MAX_TOKENS, max_output_tokens or MAX_TOKENS
    rows = longest_prompt = longest_output = cut = 0
    span_s = 0.0
    for row in islice(reader(path), requests):
        rows += 1
        span_s = row.arrival_s
        longest_prompt = max(longest_prompt, row.prompt_tokens)
        longest_output = max(longest_output, row.output_tokens)
        cut += row.prompt_tokens > caps[0] or row.output_tokens > caps[1]
    mean_rate = (rows - 1) / span_s * rate_scale if span_s > 0 else None
    assumptions = ["every replication replays the same requests"]
    if rate_scale != 1.0:
        assumptions.append(f"the trace is replayed {rate_scale:g} times as fast as recorded")
    if cut:
        assumptions.append(f"{cut} of {rows} requests are cut to the token limits set")
    return TraceWorkload(
        title=f"replay of {path.name}",
        requests=rows,
        max_prompt_tokens=min(longest_prompt, caps[0]),
        max_output_tokens=min(longest_output, caps[1]),
        mean_rate=mean_rate,
        assumptions=tuple(assumptions),
        path=path,
        reader=reader,
        rate_scale=rate_scale,
    )
