"""When requests will be given up: by their clients, or because they waited too long."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from simulator.serving.request import Request

SMALL = 256
"""Entries below which nothing is tidied up."""


class Deadlines:
    """A heap of the times at which requests may leave early.

    Those of requests that left before, or began anew since (`Request.begin_anew`), are void. They
    are forgotten lazily, so that there are never more than `SMALL` entries, or twice the valid
    ones. Empty, it costs a replica one test a step.

    Examples
    --------
    >>> import numpy as np
    >>> request = Request(7, 0.0, 10, 5, np.zeros(5, np.int64), None)
    >>> deadlines = Deadlines()
    >>> deadlines.add(3.0, request, 2)
    >>> list(deadlines.due(2.0))
    []
    >>> [(late.request_id, outcome) for late, outcome in deadlines.due(3.0)]
    [(7, 2)]
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, int, int, Request]] = []
        """Time, s, number of the entry, outcome, retries of the request so far, and the request;
        the list stays the same object."""
        self._added = 0
        self._limit = SMALL

    def add(self, time_s: float, request: Request, outcome: int) -> None:
        """Note that a request leaves with an outcome at a time, if it is still there."""
        self._added += 1
        heappush(self.heap, (time_s, self._added, outcome, request.retries, request))
        if len(self.heap) > self._limit:
            self.heap[:] = [entry for entry in self.heap if _valid(*entry[-2:])]
            heapify(self.heap)
            self._limit = max(SMALL, 2 * len(self.heap))

    def due(self, now_s: float) -> Iterator[tuple[Request, int]]:
        """Take out the entries that are due, and yield the valid ones."""
        while self.heap and self.heap[0][0] <= now_s:
            _, _, outcome, retries, request = heappop(self.heap)
            if _valid(retries, request):
                yield request, outcome


def _valid(retries: int, request: Request) -> bool:
    return request.retries == retries and not request.left
