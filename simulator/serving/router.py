"""Routers: which replica serves an arriving request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from simulator.registry import Registry


class Loaded(Protocol):
    """What a router may look at."""

    @property
    def outstanding(self) -> int:
        """Requests waiting or running."""
        ...


class Router(Protocol):
    """A router is asked once per request."""

    def choose(self, replicas: Sequence[Loaded]) -> int:
        """Return the index of the replica that serves the next request."""
        ...


ROUTERS: Registry[Callable[[], Router]] = Registry("router")


@ROUTERS.register("round_robin")
class RoundRobin:
    """Replicas in turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, replicas: Sequence[Loaded]) -> int:
        """Return the next index."""
        index = self._next
        self._next = (index + 1) % len(replicas)
        return index


@ROUTERS.register("least_outstanding")
class LeastOutstanding:
    """The replica with the fewest requests waiting or running; the first of equals."""

    def choose(self, replicas: Sequence[Loaded]) -> int:
        """Return the index of the least loaded replica."""
        if len(replicas) == 1:
            return 0
        loads = [replica.outstanding for replica in replicas]
        return loads.index(min(loads))
