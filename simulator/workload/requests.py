"""What a workload is: a stream of requests in blocks, with bounds known before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams

BLOCK_REQUESTS = 1024
"""Requests drawn at once. Part of the meaning of a seed: changing it changes every draw."""

MAX_TOKENS = 10_000_000
"""Longest prompt or output accepted anywhere: ten times the longest context on offer in 2025."""


@dataclass(frozen=True, slots=True)
class RequestTraits:
    """What tells the requests of a block apart beside arrivals and lengths, one element each.

    Parameters
    ----------
    traffic_class
        Index of the traffic class, int64[n].
    tenant
        Whom the request belongs to, int64[n].
    priority
        Lower comes first (vLLM's ``priority``), int64[n].
    session
        Conversation it is part of, -1 for none, int64[n]; a router may keep these together.
    cancel_after_s
        Time after arrival at which its client gives up, s, float64[n]; infinite for never.
    prefixes
        Of each request the hashes of what it may share from its beginning on, its output included
        if another may go on from there, each standing for ``hash_tokens`` tokens *and all before
        them*: equal hashes mean equal content up to there. None is negative.
    hash_tokens
        Tokens that a hash stands for.
    follows
        Id of the request that must have left before this one arrives, -1 for none, int64[n]; always
        an earlier one, and however it leaves. None: no request of the workload follows another;
        one block has it if all have.
    think_s
        Time from then to the arrival, s, float64[n]; ``arrival_s`` of such a request is only a
        lower bound. In a closed loop the time from when a user is free to its next request. None:
        no time.
    """

    traffic_class: NDArray[np.int64]
    tenant: NDArray[np.int64]
    priority: NDArray[np.int64]
    session: NDArray[np.int64]
    cancel_after_s: NDArray[np.float64]
    prefixes: Sequence[tuple[int, ...]]
    hash_tokens: int
    follows: NDArray[np.int64] | None = None
    think_s: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class RequestBlock:
    """Consecutive requests, one array element each.

    Parameters
    ----------
    first_id
        Number of the first request; ids run on without gaps from block to block.
    arrival_s
        Arrival times since the start of the run, s, shape (n,), nondecreasing within and across
        blocks. All zero in a closed loop.
    prompt_tokens, output_tokens
        Lengths, shape (n,), each >= 1.
    traits
        What else tells the requests apart; None if nothing does.

    Examples
    --------
    >>> RequestBlock(0, np.zeros(2), np.array([7, 9]), np.array([1, 2])).size
    2
    """

    first_id: int
    arrival_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    traits: RequestTraits | None = None

    @property
    def size(self) -> int:
        """Requests in this block."""
        return self.arrival_s.size


class Workload(Protocol):
    """A finite stream of requests, drawn lazily so that memory does not grow with its length.

    Attributes
    ----------
    title
        One line for reports.
    requests
        How many requests there are in all.
    concurrency
        None in an open loop, where ``arrival_s`` rules. Otherwise the number of users of a closed
        loop: a new request enters when one finishes, and ``arrival_s`` is ignored.
    max_prompt_tokens, max_output_tokens
        Upper bounds known before the run, for capacity and context checks.
    mean_rate
        Requests/s, for reports; None in a closed loop, or when a trace has no duration.
    assumptions
        What was assumed, one sentence each, for the report.
    """

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def requests(self) -> int: ...  # noqa: D102
    @property
    def concurrency(self) -> int | None: ...  # noqa: D102
    @property
    def max_prompt_tokens(self) -> int: ...  # noqa: D102
    @property
    def max_output_tokens(self) -> int: ...  # noqa: D102
    @property
    def mean_rate(self) -> float | None: ...  # noqa: D102
    @property
    def assumptions(self) -> tuple[str, ...]: ...  # noqa: D102

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests in order, in blocks of ``BLOCK_REQUESTS`` (the last may be shorter).

        Every call starts afresh and, for equal streams, yields equal blocks.
        """
        ...
