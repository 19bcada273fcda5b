"""Workloads put together: clients of one service, or traffic of several kinds.

The superposition of independent arrival processes: the rate is the sum, and bursts of one part are
diluted by the others. Lengths belong to the part, so that the mix of lengths drifts as one part
or another is busy, which no single law of all lengths can do (ServeGen, Xiang et al., arXiv
2505.09999, on clients).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from simulator.streams import Streams
from simulator.workload.columns import Ints, RequestColumns, in_blocks, joined
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock, Workload
from simulator.workload.spans import PART_STRIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of merged traffic.

    Parameters
    ----------
    name
        Names its streams, which are its own.
    workload
        An open loop, with as many requests as the whole.
    traffic_class, priority
        What all of its requests have.
    tenants
        Whom its requests belong to: so many tenants, the sessions of each its own.
    cancel_after_s
        Mean of the exponential time after which its clients give up, s; None: they never do.
    """

    name: str
    workload: Workload
    traffic_class: int = 0
    priority: int = 0
    tenants: int = 1
    cancel_after_s: float | None = None

    def draw(self, streams: Streams) -> Iterator[RequestColumns]:
        """Yield its requests, block after block, with what tells them from other parts'."""
        own = streams.within(self.name)
        for number, block in enumerate(self.workload.blocks(own)):
            found, n = RequestColumns.of(block), block.size
            generator = own.block("clients", number)
            whose = generator.integers(0, self.tenants, BLOCK_REQUESTS)[:n]
            patience = generator.standard_exponential(BLOCK_REQUESTS)[:n]
            mean_s = np.inf if self.cancel_after_s is None else self.cancel_after_s
            yield found._replace(
                traffic_class=np.full(n, self.traffic_class),
                priority=np.full(n, self.priority),
                tenant=np.where(found.session < 0, whose, found.session % self.tenants),
                cancel_after_s=patience * mean_s,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedWorkload:
    """Several open loops as one.

    Parameters
    ----------
    title, requests, mean_rate, assumptions
        As in ``Workload``.
    parts
        What is merged, at least one.
    linked
        Whether requests of any part may follow others.
    """

    title: str
    requests: int
    mean_rate: float
    assumptions: tuple[str, ...]
    parts: tuple[Part, ...]
    linked: bool = False

    @property
    def concurrency(self) -> None:
        """None: an open loop."""
        return

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt of any part, tokens."""
        return max(part.workload.max_prompt_tokens for part in self.parts)

    @property
    def max_output_tokens(self) -> int:
        """Longest output of any part, tokens."""
        return max(part.workload.max_output_tokens for part in self.parts)

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests of all parts in order of arrival, block after block."""
        return in_blocks(self._in_order(streams), self.requests, linked=self.linked)

    def _in_order(self, streams: Streams) -> Iterator[RequestColumns]:
        """Yield requests up to where some part has to be asked for more, again and again."""
        tenants = [0, *accumulate(part.tenants for part in self.parts)]
        feeds = [
            _Feed(part.draw(streams), index, len(self.parts), tenants[index])
            for index, part in enumerate(self.parts)
        ]
        first_id = 0
        while feeds := [feed for feed in feeds if feed.fill()]:
            until_s = min(feed.until_s for feed in feeds)
            taken = [feed.take(until_s) for feed in feeds]
            merged = joined(taken)
            order = np.argsort(merged.arrival_s, kind="stable")
            if self.linked:
                numbers = np.empty_like(order)
                numbers[order] = first_id + np.arange(order.size)
                sizes = [piece.arrival_s.size for piece in taken]
                follows = [
                    feed.numbered(piece.follows, own)
                    for feed, piece, own in zip(
                        feeds, taken, np.split(numbers, np.cumsum(sizes)[:-1]), strict=True
                    )
                ]
                merged = merged._replace(follows=np.concatenate(follows))
            first_id += order.size
            yield merged.taken(order)


class _Feed:
    """The requests of a part that are yet to be merged.

    Sessions, tenants and hashes get numbers that no other part has.
    """

    def __init__(
        self, drawn: Iterator[RequestColumns], index: int, parts: int, first_tenant: int
    ) -> None:
        self._drawn = drawn
        self._index = index
        self._parts = parts
        self._first_tenant = first_tenant
        nothing = np.zeros(0, dtype=np.int64)
        self._left = RequestColumns.plain(np.zeros(0), nothing, nothing)
        self._numbers = array("q")
        """Of each request of the part so far its number in the whole: 8 bytes each."""

    @property
    def until_s(self) -> float:
        """Up to when its requests are known, s."""
        return float(self._left.arrival_s[-1])

    def fill(self) -> bool:
        """Draw more if nothing is left; tell whether there is anything."""
        if not self._left.arrival_s.size:
            drawn = next(self._drawn, None)
            if drawn is None:
                return False
            self._left = self._marked(drawn)
        return True

    def take(self, until_s: float) -> RequestColumns:
        """Return what arrives up to a time, and keep the rest."""
        end = int(np.searchsorted(self._left.arrival_s, until_s, "right"))
        taken, self._left = self._left.taken(slice(end)), self._left.taken(slice(end, None))
        return taken

    def numbered(self, follows: Ints, numbers: Ints) -> Ints:
        """Return what requests follow, by numbers of the whole, given those of these requests."""
        self._numbers.extend(numbers.tolist())
        if not self._numbers:
            return follows
        known = np.frombuffer(self._numbers, dtype=np.int64)
        return np.where(follows < 0, -1, known[np.maximum(follows, 0)])

    def _marked(self, drawn: RequestColumns) -> RequestColumns:
        moved = drawn.spans + np.array([1, 0, 1, 0]) * (self._index * PART_STRIDE)
        session = np.where(drawn.session < 0, -1, drawn.session * self._parts + self._index)
        tenant = drawn.tenant + self._first_tenant
        return drawn._replace(spans=moved, session=session, tenant=tenant)
