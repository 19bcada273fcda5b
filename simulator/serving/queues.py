"""Waiting queues: who comes in next, and who has to go where KV blocks run out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush, heapreplace
from typing import Protocol

from simulator.registry import Registry
from simulator.serving.request import Request

PROMPT_WEIGHT, OUTPUT_WEIGHT = 1.0, 2.0
"""What a token of prompt and of output is charged to a tenant, as in the experiments of Sheng et
al., "Fairness in Serving Large Language Models" (OSDI 2024, arXiv 2401.00588; from memory)."""


class WaitingQueue(Protocol):
    """Requests that wait to run."""

    def join(self, request: Request) -> None:
        """Queue a request that has just come."""
        ...

    def rejoin(self, request: Request) -> None:
        """Queue a request that ran and lost its blocks, ahead of its like."""
        ...

    def head(self) -> Request:
        """Return who comes in next; somebody waits."""
        ...

    def pop(self) -> Request:
        """Take the head out: it comes in."""
        ...

    def remove(self, request: Request) -> bool:
        """Take out a request that leaves unserved; return whether it waited here."""
        ...

    def victim(self, running: Sequence[Request]) -> int:
        """Return the index of who loses its blocks, of requests in the order they came in."""
        ...


QUEUES: Registry[Callable[[], WaitingQueue]] = Registry("queue")


def without(line: deque[Request], request: Request) -> bool:
    """Take a request out of a line in O(its length); return whether it was there."""
    if request not in line:
        return False
    line.remove(request)
    return True


@QUEUES.register("fcfs")
class Fcfs:
    """First come, first served; who came in last goes first (vLLM's default)."""

    def __init__(self) -> None:
        self._line: deque[Request] = deque()
        self.join = self._line.append
        self.rejoin = self._line.appendleft
        self.head = partial(self._line.__getitem__, 0)
        self.pop = self._line.popleft

    def remove(self, request: Request) -> bool:
        """Take out any request."""
        return without(self._line, request)

    def victim(self, running: Sequence[Request]) -> int:
        """Return the last."""
        return len(running) - 1


@QUEUES.register("priority")
class ByPriority:
    """The lowest priority number first, of equals who came first (vLLM's ``priority``).

    Whoever has the highest number goes first, of equals who came in last. A request that waits
    takes no blocks from one that runs.
    """

    def __init__(self) -> None:
        self._lines: defaultdict[int, deque[Request]] = defaultdict(deque)

    def join(self, request: Request) -> None:
        """Queue a request behind those of its priority."""
        self._lines[request.traits.priority].append(request)

    def rejoin(self, request: Request) -> None:
        """Queue a request before those of its priority."""
        self._lines[request.traits.priority].appendleft(request)

    def head(self) -> Request:
        """Return the first of the lowest number."""
        return self._first()[0]

    def pop(self) -> Request:
        """Take out the first of the lowest number."""
        return self._first().popleft()

    def remove(self, request: Request) -> bool:
        """Take out any request."""
        return without(self._lines[request.traits.priority], request)

    def victim(self, running: Sequence[Request]) -> int:
        """Return the last of the highest number."""
        return max(range(len(running)), key=lambda i: (running[i].traits.priority, i))

    def _first(self) -> deque[Request]:
        return self._lines[min(priority for priority, line in self._lines.items() if line)]


@QUEUES.register("fair")
class Fair:
    """The tenant that was served least comes first: the virtual token counter of Sheng et al.

    Every tenant has a counter of the tokens that it was charged. The first request of the tenant
    with the lowest counter comes in, and its tenant is charged ``prompt + 2 output`` tokens at once
    (the paper's variant for outputs of known length). A tenant of whom nothing waited starts no
    lower than the lowest of those that wait, so that idling earns no credit. So the charges of two
    tenants that both have requests waiting all along never drift apart by more than what one
    request costs. Requests that lost their blocks were charged before, and come first. Who goes is
    the last that came in of the tenant with the highest counter.

    A cancelled request stays charged for all of its output. The counters of all tenants ever seen
    are kept.
    """

    def __init__(self) -> None:
        self.charged: defaultdict[int, float] = defaultdict(float)
        self._lines: dict[int, deque[Request]] = {}
        self._order: list[tuple[float, int]] = []  # counters of those that wait; some outdated
        self._returned: deque[Request] = deque()
        self._last = 0.0

    def join(self, request: Request) -> None:
        """Queue a request behind those of its tenant."""
        tenant = request.traits.tenant
        if tenant not in self._lines:
            floor = self._lowest()[0] if self._lines else self._last
            self.charged[tenant] = max(self.charged[tenant], floor)
            self._lines[tenant] = deque()
            heappush(self._order, (self.charged[tenant], tenant))
        self._lines[tenant].append(request)

    def rejoin(self, request: Request) -> None:
        """Queue a request before all others."""
        self._returned.appendleft(request)

    def head(self) -> Request:
        """Return the first of those that were charged, or of the tenant served least."""
        if self._returned:
            return self._returned[0]
        return self._lines[self._lowest()[1]][0]

    def pop(self) -> Request:
        """Take out the head, and charge its tenant."""
        if self._returned:
            return self._returned.popleft()
        _, tenant = self._lowest()
        request = self._lines[tenant].popleft()
        self.charged[tenant] += charge(request)
        self._last = self.charged[tenant]
        if self._lines[tenant]:
            heapreplace(self._order, (self.charged[tenant], tenant))
        else:
            del self._lines[tenant]
        return request

    def remove(self, request: Request) -> bool:
        """Take out any request; its tenant is not charged."""
        if without(self._returned, request):
            return True
        tenant = request.traits.tenant
        line = self._lines.get(tenant)
        if line is None or not without(line, request):
            return False
        if not line:
            del self._lines[tenant]
        return True

    def victim(self, running: Sequence[Request]) -> int:
        """Return the last of the tenant with the highest counter."""
        charged = [self.charged[request.traits.tenant] for request in running]
        return max(range(len(running)), key=lambda i: (charged[i], i))

    def _lowest(self) -> tuple[float, int]:
        """Return the lowest counter and its tenant, of tenants that wait."""
        order = self._order
        while order[0][1] not in self._lines or order[0][0] != self.charged[order[0][1]]:
            heappop(order)
        return order[0]


def charge(request: Request) -> float:
    """Return what a request is charged to its tenant, in weighted tokens."""
    return PROMPT_WEIGHT * request.prompt_tokens + OUTPUT_WEIGHT * request.output_tokens
