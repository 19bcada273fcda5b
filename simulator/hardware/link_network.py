"""Transfers that share links, in time: flows as SimPy events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import simpy
from simpy.events import EventPriority

from simulator.hardware.bundles import Bundle, Floats
from simulator.hardware.sharing import max_min_rates
from simulator.hardware.topology import Link, Topology

_LAST = EventPriority(2)
"""Behind URGENT (0) and NORMAL (1): all that begins in an instant begins first."""

_DONE_SHARE = 1e-9
"""Share of a transfer that is taken for nothing: what rounding leaves of it."""


class Flow:
    """A transfer under way, or a bundle of them beside others.

    Parameters
    ----------
    route, weights
        Its channels, and how many times its rate it takes of each: once, unless it is a bundle.
    size_bytes
        What is to be sent; of a bundle, the mean of its transfers.
    latency_s
        From when the last byte is sent until it is there, s.
    there
        Succeeds when everything is there.
    """

    __slots__ = ("latency_s", "left_bytes", "rate", "route", "size_bytes", "there", "weights")

    def __init__(
        self,
        route: Sequence[int],
        weights: Sequence[float],
        size_bytes: float,
        latency_s: float,
        there: simpy.Event,
    ) -> None:
        self.route = route
        self.weights = weights
        self.size_bytes = self.left_bytes = size_bytes
        self.latency_s = latency_s
        self.there = there
        self.rate = 0.0
        """Bytes/s; 0 until the end of the instant in which it began."""

    @property
    def mask(self) -> int:
        """Bit c is set if it goes through channel c."""
        return sum(1 << channel for channel in self.route)


class Together(simpy.Event):
    """A bundle under way: by itself in closed form, or as a flow among others.

    As an event it happens when everything would be there if it stayed alone.

    Parameters
    ----------
    env
        The SimPy environment.
    bundle
        The transfers.
    delay_s
        From when the last byte is sent until the receivers can use it, latency included, s.
    arrived
        Called then.
    """

    __slots__ = ("arrived", "began_s", "bundle", "delay_s", "flow", "over_s")

    def __init__(
        self,
        env: simpy.Environment,
        bundle: Bundle,
        delay_s: float,
        arrived: Callable[[], None],
    ) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.bundle = bundle
        self.began_s = env.now
        self.delay_s = delay_s
        self.arrived = arrived
        self.over_s = self.began_s + bundle.alone_s
        """When its last byte is sent if it stays alone."""
        self.flow: Flow | None = None


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

    A bundle whose channels nobody else uses costs one event and no rates: its end is known. When
    somebody comes, what is left of it becomes a flow like any other.

    Parameters
    ----------
    env
        The SimPy environment.
    topology
        Its links.
    carried
        Told what was sent, bytes by channel, as it is accounted for; None where nobody asks.

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

    def __init__(
        self,
        env: simpy.Environment,
        topology: Topology,
        carried: Callable[[Floats], None] | None = None,
    ) -> None:
        self.topology = topology
        self._env = env
        self._carried = carried
        self._capacities = list(topology.capacities)
        self._slower: set[str] = set()
        self._flows: dict[Flow, None] = {}
        self._alone: dict[Together, None] = {}
        self._since_s = 0.0
        self._changed = False
        self._next: _Wake | None = None

    @property
    def flows(self) -> int:
        """How many transfers are being sent that others may slow; a bundle counts as one."""
        return len(self._flows)

    def send(self, sender: int, receiver: int, size_bytes: float) -> Flow:
        """Start a transfer from GPU to GPU."""
        route = self.topology.routes[sender][receiver]
        latency_s = float(self.topology.latency_s[sender, receiver])
        flow = Flow(route, (1.0,) * len(route), size_bytes, latency_s, self._env.event())
        if route and size_bytes > 0:
            if self._alone:
                self._join(flow.mask)
            self._flows[flow] = None
            self._change()
        else:
            self._deliver(flow)
        return flow

    def send_bundle(
        self, bundle: Bundle, arrived: Callable[[], None], delay_s: float = 0.0
    ) -> Together:
        """Start transfers that end together.

        Parameters
        ----------
        bundle
            The transfers.
        arrived
            Called when everything is there.
        delay_s
            From when the last byte has arrived until that, s.
        """
        together = Together(self._env, bundle, bundle.latency_s + delay_s, arrived)
        busy = (self._flows or self._alone or self._slower) and self._used(bundle.mask)
        self._alone[together] = None
        if busy:
            self._join(bundle.mask)
        else:
            together.callbacks.append(self._end_alone)
            self._env.schedule(together, delay=bundle.alone_s + together.delay_s)
        return together

    def cancel_bundle(self, together: Together) -> None:
        """Send no more of a bundle, and tell nobody."""
        self._alone.pop(together, None)
        if together.flow is not None:
            together.flow.there.callbacks = []
            self.cancel(together.flow)

    def cancel(self, flow: Flow) -> None:
        """Send no more of a transfer; one that is sent already arrives."""
        if flow in self._flows:
            del self._flows[flow]
            self._change()

    def set_factor(self, link: Link, factor: float) -> None:
        """Let a link have a share of its bandwidth from now on, both ways."""
        self._join(-1)
        for channel in link.channels:
            self._capacities[channel] = factor * self.topology.capacities[channel]
        if factor == 1.0:
            self._slower.discard(link.name)
        else:
            self._slower.add(link.name)
        self._change()

    def _used(self, mask: int) -> bool:
        """Tell whether anything is being sent over channels of a mask, or a link is slower."""
        if self._slower or any(flow.mask & mask for flow in self._flows):
            return True
        now_s = self._env.now
        return any(one.bundle.mask & mask and one.over_s > now_s for one in self._alone)

    def _end_alone(self, together: simpy.Event) -> None:
        """Say that a bundle is there, unless it went on as a flow."""
        if not isinstance(together, Together) or together not in self._alone:
            return
        del self._alone[together]
        if self._carried is not None:
            self._carried(together.bundle.loads)
        together.arrived()

    @staticmethod
    def _end_beside(together: Together, _: simpy.Event) -> None:
        """Say that a bundle is there that went on as a flow."""
        together.arrived()

    def _join(self, mask: int) -> None:
        """Let bundles on channels of a mask go on as flows, with what is left of them."""
        now_s = self._env.now
        for together in [one for one in self._alone if one.bundle.mask & mask]:
            bundle = together.bundle
            left = together.over_s - now_s
            if left <= 0 and together.began_s < now_s:
                continue  # sent: only the latency is to come
            del self._alone[together]
            there = self._env.event()
            there.callbacks.append(partial(self._end_beside, together))
            route = np.flatnonzero(bundle.loads).tolist()
            weights = (bundle.loads[route] / (bundle.mean_bytes or 1.0)).tolist()
            flow = together.flow = Flow(route, weights, bundle.mean_bytes, together.delay_s, there)
            if not route:
                self._deliver(flow)
                continue
            flow.left_bytes *= left / bundle.alone_s
            if self._carried is not None:
                self._carried(bundle.loads * (1.0 - left / bundle.alone_s))
            self._flows[flow] = None
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
        routes, weights = [one.route for one in self._flows], [one.weights for one in self._flows]
        rates = max_min_rates(routes, self._capacities, weights)
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
            if self._carried is not None and self._flows:
                self._carried(self._passed(passed_s))

    def _passed(self, passed_s: float) -> Floats:
        """Return what all flows have sent in a time, bytes by channel."""
        loads = np.zeros(len(self._capacities))
        for flow in self._flows:
            loads[list(flow.route)] += np.multiply(flow.weights, flow.rate * passed_s)
        return loads

    def _deliver(self, flow: Flow) -> None:
        flow.there._ok, flow.there._value = True, None
        self._env.schedule(flow.there, delay=flow.latency_s)
