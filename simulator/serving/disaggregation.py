"""Prefill and decode on different replicas, with keys and values sent from one to the other.

The prefill replica emits the first token (as in DistServe, OSDI 2024, and Splitwise, ISCA 2024).
Its KV blocks are free at once: it sends from a buffer. The decode replica is chosen when the
prefill ends; from then on it counts the request among its own, and it takes blocks once everything
is there. So TTFT knows nothing of the link, and the time between the first two tokens holds all of
the transfer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import simpy

from simulator.serving.deployment import Deployment
from simulator.serving.link_config import KvLinkConfig
from simulator.serving.pools import Desk
from simulator.serving.replica import Replica
from simulator.serving.request import Request
from simulator.serving.router import Router


class Wire(Protocol):
    """What keys and values go over; replicas by number."""

    def send(self, sender: int, receiver: int, size_bytes: float) -> simpy.Event:
        """Start a transfer; return what happens when all of it is there."""

    def lose(self, replica: int) -> None:
        """Forget what a lost replica was sending, and may no longer receive."""


class KvLink:
    """Sends one request after another from each replica, at a bandwidth that may dip.

    A transfer takes ``bytes / bandwidth`` from when its sender is free, and the latency after that,
    in which the next may already be sent. What is on its way to a replica that is lost is sent to
    its end.

    Parameters
    ----------
    env
        The SimPy environment.
    settings
        Bandwidth, latency, and the times in which the bandwidth is lower.

    Examples
    --------
    >>> env = simpy.Environment()
    >>> link = KvLink(env, KvLinkConfig(bytes_per_s=10.0, latency_s=0.5))
    >>> sent = [link.send(0, 2, 20.0), link.send(0, 2, 10.0), link.send(1, 2, 10.0)]
    >>> for transfer in sent:
    ...     transfer.callbacks.append(lambda _: print(env.now))
    >>> env.run()
    1.5
    2.5
    3.5
    """

    def __init__(self, env: simpy.Environment, settings: KvLinkConfig) -> None:
        self._env = env
        self._settings = settings
        self._dips = sorted(settings.degraded, key=lambda dip: dip.at_s)
        self._free_s: dict[int, float] = {}

    def send(self, sender: int, receiver: int, size_bytes: float) -> simpy.Event:
        """Start a transfer, behind those of the same sender; the receiver makes no difference."""
        now_s = self._env.now
        start_s = max(now_s, self._free_s.get(sender, 0.0))
        end_s = self._free_s[sender] = self._sent_s(start_s, size_bytes)
        return self._env.timeout(end_s + self._settings.latency_s - now_s)

    def lose(self, replica: int) -> None:
        """Forget what a lost replica was sending."""
        self._free_s.pop(replica, None)

    def _sent_s(self, time_s: float, left_bytes: float) -> float:
        """Return when the last byte is on its way, through all dips of the bandwidth."""
        full = self._settings.bytes_per_s
        for dip in self._dips:
            for until_s, rate in (
                (dip.at_s, full),
                (dip.at_s + dip.for_s, full * dip.factor),
            ):
                if time_s < until_s:
                    if time_s + left_bytes / rate <= until_s:
                        return time_s + left_bytes / rate
                    left_bytes -= (until_s - time_s) * rate
                    time_s = until_s
        return time_s + left_bytes / full


class Transfer(NamedTuple):
    """A request on its way."""

    sender: int
    target: Replica


class HandOver:
    """Takes requests from prefill replicas to decode replicas.

    Parameters
    ----------
    env
        The SimPy environment.
    link
        What the requests go over.
    router
        Chooses the decode replica.
    nobody
        Takes a request while there is no decode replica.
    arrived
        Called with the number of its sender when a request has arrived.
    """

    def __init__(
        self,
        env: simpy.Environment,
        link: Wire,
        router: Router,
        *,
        nobody: Callable[[Request], None],
        arrived: Callable[[int], None],
    ) -> None:
        self.desk = Desk(router, self._send, nobody)
        self._env = env
        self._link = link
        self._arrived = arrived
        self._pools: dict[int, Deployment] = {}
        self._flying: dict[Request, Transfer] = {}

    def from_replica(self, sender: int, pool: Deployment) -> Callable[[Request], None]:
        """Return what a prefill replica calls with each request that it has prefilled."""
        self._pools[sender] = pool
        return self.desk.send

    def involves(self, replica: Replica) -> bool:
        """Tell whether a replica has anything to send, or to receive."""
        moving = any(
            transfer.target is replica or transfer.sender == replica.index
            for transfer in self._flying.values()
        )
        return moving or any(request.prefill_replica == replica.index for request in self.desk.held)

    def abandon(self, lost: Replica) -> list[Request]:
        """Lose what is on its way from or to a replica, or waits at it to be sent."""
        self._link.lose(lost.index)
        found = [
            request
            for request, (sender, target) in self._flying.items()
            if sender == lost.index or target is lost
        ]
        for request in found:
            self._flying.pop(request).target.forgo(request)
        held = [request for request in self.desk.held if request.prefill_replica == lost.index]
        for request in held:
            self.desk.held.remove(request)
        for request in (*found, *held):
            request.keep_first_token()
            request.set_back()
        return [*found, *held]

    def _send(self, target: Replica, request: Request) -> None:
        """Start a transfer."""
        sender = request.prefill_replica
        pool = self._pools[sender]
        size_bytes = pool.kv_bytes_per_token * request.prefill_tokens + pool.state_bytes
        transfer = self._flying[request] = Transfer(sender, target)
        target.expect(request)
        arrival = self._link.send(sender, target.index, size_bytes)
        arrival.callbacks.append(lambda _: self._arrive(request, transfer))

    def _arrive(self, request: Request, transfer: Transfer) -> None:
        if self._flying.get(request) is transfer:  # not lost on the way
            del self._flying[request]
            transfer.target.accept(request)
            self._arrived(transfer.sender)
