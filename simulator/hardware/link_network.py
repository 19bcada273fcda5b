"""Transfers that share links, in time: flows as SimPy events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import simpy
from simpy.events import EventPriority

from simulator.hardware.sharing import max_min_rates
from simulator.hardware.topology import Link, Topology

_LAST = EventPriority(2)
"""Behind URGENT (0) and NORMAL (1): all that begins in an instant begins first."""

_DONE_SHARE = 1e-9
"""Share of a transfer that is taken for nothing: what rounding leaves of it."""


class Flow:
    """A transfer under way.

    Parameters
    ----------
    route
        Its channels.
    size_bytes
        What is to be sent.
    latency_s
        From when the last byte is sent until it is there, s.
    there
        Succeeds when everything is there.
    """

    __slots__ = ("latency_s", "left_bytes", "rate", "route", "size_bytes", "there")

    def __init__(
        self, route: Sequence[int], size_bytes: float, latency_s: float, there: simpy.Event
    ) -> None:
        self.route = route
        self.size_bytes = self.left_bytes = size_bytes
        self.latency_s = latency_s
        self.there = there
        self.rate = 0.0
        """Bytes/s; 0 until the end of the instant in which it began."""


class _Wake(simpy.Event):
    """Calls something with itself at a time, after all else of that instant."""

    def __init__(
        self, env: simpy.Environment, time_s: float, action: Callable[[simpy.Event], None]
    ) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.time_s = time_s
        self.callbacks.append(action)
        env.schedule(self, _LAST, max(0.0, time_s - env.now))


class LinkNetwork:
    """The links of a topology, shared by max-min fairness.

    A transfer alone takes ``bytes / bandwidth + latency`` of its route. Rates change when a flow
    comes or goes, or a link changes; all changes of one instant count as one, and cost one event at
    its end. One more waits for the next flow to be sent; where flows became slower in the meantime
    it looks when to come again.

    Parameters
    ----------
    env
        The SimPy environment.
    topology
        Its links.

    Examples
    --------
    Two flows on one link take twice as long:

    >>> from simulator.hardware.topology import load_topology
    >>> env = simpy.Environment()
    >>> network = LinkNetwork(env, load_topology("nvswitch_h100"))
    >>> both = [network.send(0, receiver, 450e6) for receiver in (1, 2)]
    >>> _ = env.run(env.all_of([flow.there for flow in both]))
    >>> round(env.now * 1e3, 4)
    2.0006
    """

    def __init__(self, env: simpy.Environment, topology: Topology) -> None:
        self.topology = topology
        self._env = env
        self._capacities = list(topology.capacities)
        self._flows: dict[Flow, None] = {}
        self._since_s = 0.0
        self._changed = False
        self._next: _Wake | None = None

    @property
    def flows(self) -> int:
        """How many transfers are being sent."""
        return len(self._flows)

    def send(self, sender: int, receiver: int, size_bytes: float) -> Flow:
        """Start a transfer from GPU to GPU."""
        route = self.topology.routes[sender][receiver]
        latency_s = float(self.topology.latency_s[sender, receiver])
        flow = Flow(route, size_bytes, latency_s, self._env.event())
        if route and size_bytes > 0:
            self._flows[flow] = None
            self._change()
        else:
            self._deliver(flow)
        return flow

    def cancel(self, flow: Flow) -> None:
        """Send no more of a transfer; one that is sent already arrives."""
        if flow in self._flows:
            del self._flows[flow]
            self._change()

    def set_factor(self, link: Link, factor: float) -> None:
        """Let a link have a share of its bandwidth from now on, both ways."""
        for channel in link.channels:
            self._capacities[channel] = factor * self.topology.capacities[channel]
        self._change()

    def _change(self) -> None:
        """Compute rates anew at the end of this instant."""
        if not self._changed:
            self._changed = True
            _Wake(self._env, self._env.now, self._changes_end)

    def _changes_end(self, _: simpy.Event) -> None:
        self._changed = False
        self._advance()
        self._share()
        self._wait()

    def _may_be_sent(self, event: simpy.Event) -> None:
        """Deliver what is sent by now, unless a sooner look has been taken instead of this."""
        if event is not self._next:
            return
        self._next = None
        self._advance()
        sent = [flow for flow in self._flows if flow.left_bytes <= _DONE_SHARE * flow.size_bytes]
        for flow in sent:
            del self._flows[flow]
            self._deliver(flow)
        if sent:
            self._share()
        self._wait()

    def _share(self) -> None:
        """Give every flow its rate."""
        rates = max_min_rates([flow.route for flow in self._flows], self._capacities)
        for flow, rate in zip(self._flows, rates, strict=True):
            flow.rate = rate

    def _wait(self) -> None:
        """Wait for the next flow to be sent, unless something sooner is waited for already."""
        now_s = self._env.now
        ends_s = (now_s + flow.left_bytes / flow.rate for flow in self._flows if flow.rate)
        # A step below the resolution of the clock would not move it.
        next_s = max(min(ends_s, default=math.inf), math.nextafter(now_s, math.inf))
        if next_s < (self._next.time_s if self._next else math.inf):
            self._next = _Wake(self._env, next_s, self._may_be_sent)

    def _advance(self) -> None:
        """Account for what was sent since the last change."""
        passed_s = self._env.now - self._since_s
        self._since_s = self._env.now
        if passed_s:
            for flow in self._flows:
                flow.left_bytes -= flow.rate * passed_s

    def _deliver(self, flow: Flow) -> None:
        flow.there._ok, flow.there._value = True, None
        self._env.schedule(flow.there, delay=flow.latency_s)
