"""What the busiest sharer of a step gets.

Attention groups work on their own requests and meet in every MoE layer; the micro-batches of a
pipeline follow each other in a fixed order. Either way a step takes as long as its busiest sharer.
Requests and prompt chunks are whole: no sharer gets a part of one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

Chunk = tuple[int, int]


def busiest_requests(requests: float, sharers: int) -> float:
    """Return the requests of the busiest sharer when they are dealt out evenly.

    Parameters
    ----------
    requests
        Requests, >= 0. A mean between two counts is a chance of either.
    sharers
        Among how many, >= 1.

    Returns
    -------
    float
        ``ceil(requests / sharers)``; between two counts, on the line between their values.

    Examples
    --------
    >>> busiest_requests(8, 4), busiest_requests(9, 4), busiest_requests(8.5, 4)
    (2, 3, 2.5)
    """
    if sharers == 1:
        return requests
    few = math.floor(requests)
    load = -(-few // sharers)
    more = -(-(few + 1) // sharers)
    return load + (requests - few) * (more - load)


def busiest_chunks(chunks: Sequence[Chunk], sharers: int) -> Sequence[Chunk]:
    """Return the prompt chunks of the busiest sharer.

    Chunks are dealt longest first to whoever has the fewest tokens, which takes at most 4/3 of the
    shortest possible (R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl.
    Math. 17(2), 1969).

    Parameters
    ----------
    chunks
        Prompt chunks ``(start, end)``, tokens.
    sharers
        As in `busiest_requests`.

    Examples
    --------
    >>> busiest_chunks([(0, 10), (100, 150), (0, 45)], 2)
    [(0, 45), (0, 10)]
    """
    if sharers == 1 or not chunks:
        return chunks
    dealt: list[list[Chunk]] = [[] for _ in range(min(sharers, len(chunks)))]
    loads = [(0, index) for index in range(len(dealt))]
    for chunk in sorted(chunks, key=_tokens, reverse=True):
        tokens, index = loads[0]
        dealt[index].append(chunk)
        heapq.heapreplace(loads, (tokens + _tokens(chunk), index))
    return dealt[max(loads)[1]]


def _tokens(chunk: Chunk) -> int:
    return chunk[1] - chunk[0]
