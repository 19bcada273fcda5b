"""Routers: which replica serves an arriving request.

A router sees the replicas that take requests at that moment, in the order of their numbers; the
list is never empty, and changes where replicas fail, return or are scaled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from simulator.registry import Registry
from simulator.serving.cluster_config import AffinityConfig
from simulator.serving.request import Request
from simulator.streams import Streams

DRAWS = 4096
"""Uniforms that a router draws at once."""

MOST_SESSIONS = 65_536
"""Sessions whose replica a router remembers, some 15 MB of them: memory that stays bounded."""


class Loaded(Protocol):
    """What a router may look at."""

    @property
    def index(self) -> int:
        """Number of the replica, the same for the whole run."""
        ...

    @property
    def outstanding(self) -> int:
        """Requests waiting, running or on their way."""
        ...

    @property
    def outstanding_tokens(self) -> int:
        """Prompt tokens that it has yet to process, and output tokens that it has yet to emit."""
        ...

    def cached_tokens(self, request: Request) -> int:
        """Return the tokens of a prompt that its prefix cache holds."""
        ...


class Router(Protocol):
    """A router is asked once per request, and again when the request is tried anew."""

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position in ``replicas`` of the one that serves the request."""
        ...


NewRouter = Callable[[Iterator[float]], Router]
"""Makes the router of a run from uniforms in [0, 1) that it may draw."""

ROUTERS: Registry[Callable[[AffinityConfig, Iterator[float]], Router]] = Registry("router")


def uniforms(streams: Streams, stream: str) -> Iterator[float]:
    """Draw the uniforms of a stream, block by block, for ever."""
    block = 0
    while True:
        yield from streams.block(stream, block).random(DRAWS).tolist()
        block += 1


def _least(loads: Sequence[int]) -> int:
    """Return the position of the smallest load; the first of equals."""
    return loads.index(min(loads))


@ROUTERS.register("round_robin")
class RoundRobin:
    """Replicas in turn."""

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        self._next = 0

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the next position."""
        index = self._next % len(replicas)  # the list may have become shorter
        self._next = index + 1
        return index


@ROUTERS.register("least_outstanding")
class LeastOutstanding:
    """The replica with the fewest requests waiting or running; the first of equals."""

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        pass

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position of the least loaded replica."""
        if len(replicas) == 1:
            return 0
        return _least([replica.outstanding for replica in replicas])


@ROUTERS.register("least_outstanding_tokens")
class LeastOutstandingTokens:
    """The replica with the fewest tokens to process and to emit; the first of equals.

    It knows how long outputs will be, which a real router has to guess: an upper bound of what
    such a router can do.
    """

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        pass

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position of the replica with the least work."""
        return _least([replica.outstanding_tokens for replica in replicas])


@ROUTERS.register("power_of_two")
class PowerOfTwo:
    """Of two replicas drawn at random, the one with fewer requests; the first drawn of equals.

    With many replicas that serve one at a time, Poisson
    arrivals and exponential service, the share with at least k requests tends to
    ``load ** (2 ** k - 1)`` (Mitzenmacher, IEEE TPDS 12(10), 2001).
    """

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        self._draws = draws

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position of the less loaded of two."""
        count = len(replicas)
        if count == 1:
            return 0
        first = int(next(self._draws) * count)
        second = int(next(self._draws) * (count - 1))
        second += second >= first  # without replacement
        fewer = replicas[second].outstanding < replicas[first].outstanding
        return second if fewer else first


@ROUTERS.register("prefix_affinity")
class PrefixAffinity:
    """The replica that has cached most of the prompt, unless loads are out of balance.

    The rule of SGLang's cache-aware router (`AffinityConfig` names its thresholds). Loads are out
    of balance where the largest exceeds the smallest both by a number of requests and by a factor:
    then the least loaded serves. Otherwise the replica with the longest cached prefix does if that
    is more than a share of the prompt, and the least loaded if not. SGLang's router keeps a tree
    of what it has sent and fills the least filled tree; this one asks the replicas what they hold,
    as routers do that follow the engines' cache events.
    """

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        self._settings = settings

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position of the replica by prefix, or by load."""
        loads = [replica.outstanding for replica in replicas]
        least = _least(loads)
        if not self._out_of_balance(max(loads), loads[least]):
            cached = [replica.cached_tokens(request) for replica in replicas]
            longest = max(cached)
            if longest > self._settings.min_share * request.prompt_tokens:
                # Of several that hold as much, the least loaded.
                return min(
                    (load, position)
                    for position, load in enumerate(loads)
                    if cached[position] == longest
                )[1]
        return least

    def _out_of_balance(self, most: int, fewest: int) -> bool:
        settings = self._settings
        return (
            most - fewest > settings.imbalance_requests and most > settings.imbalance_ratio * fewest
        )


@ROUTERS.register("sticky")
class Sticky:
    """The replica that served the session last; the least loaded for a new session.

    A session whose replica takes no requests any more moves to the least loaded, and stays there.
    One that was silent while `MOST_SESSIONS` others spoke is new again.
    """

    def __init__(self, settings: AffinityConfig, draws: Iterator[float]) -> None:
        self._homes: OrderedDict[int, int] = OrderedDict()
        """Replica by session, the one that spoke last at the end."""

    def choose(self, replicas: Sequence[Loaded], request: Request) -> int:
        """Return the position of the session's replica."""
        home = self._homes.pop(request.traits.session, None)
        found = [place for place, replica in enumerate(replicas) if replica.index == home]
        position = found[0] if found else _least([replica.outstanding for replica in replicas])
        self._homes[request.traits.session] = replicas[position].index
        if len(self._homes) > MOST_SESSIONS:
            self._homes.popitem(last=False)
        return position
