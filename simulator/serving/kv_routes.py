"""Keys and values on a topology: over the routes of its GPUs, sharing links with one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import simpy

from simulator.hardware.link_network import Flow, LinkNetwork
from simulator.serving.changes import Change
from simulator.serving.link_config import DegradedLinkConfig


class KvRoutes:
    """Sends from all GPUs of a replica to all GPUs of another, at once.

    A transfer is cut into as many equal parts as the larger of the two has GPUs: part k of n goes
    from GPU ``k * senders // n`` to ``k * receivers // n`` of theirs. All transfers under way share
    links by max-min fairness (`LinkNetwork`), those of one sender too: none waits for another.

    Parameters
    ----------
    env
        The SimPy environment.
    network
        The links; others may send over them too.
    places
        GPUs of each replica, by its number.
    degraded
        Times in which links are slower.

    Examples
    --------
    >>> from simulator.hardware.topology import load_topology
    >>> env = simpy.Environment()
    >>> network = LinkNetwork(env, load_topology("nvswitch_h100"))
    >>> wire = KvRoutes(env, network, [range(2), range(2, 3)], [])
    >>> _ = env.run(wire.send(0, 1, 450e6))
    >>> round(env.now * 1e3, 4)
    1.0006
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: LinkNetwork,
        places: Sequence[range],
        degraded: Iterable[DegradedLinkConfig],
    ) -> None:
        self._env = env
        self._places = places
        self._network = network
        self._sending: dict[simpy.Event, tuple[int, int, list[Flow]]] = {}
        for dip in degraded:
            link = network.topology.link(dip.link, "cluster.degraded_links")
            Change(env, dip.at_s, partial(network.set_factor, link, dip.factor))
            Change(env, dip.at_s + dip.for_s, partial(network.set_factor, link, 1.0))

    def send(self, sender: int, receiver: int, size_bytes: float) -> simpy.Event:
        """Start a transfer; return what happens when all of it is there."""
        start, end = self._places[sender], self._places[receiver]
        parts = max(len(start), len(end))
        flows = [
            self._network.send(
                start[part * len(start) // parts],
                end[part * len(end) // parts],
                size_bytes / parts,
            )
            for part in range(parts)
        ]
        there = self._env.all_of([flow.there for flow in flows])
        self._sending[there] = sender, receiver, flows
        there.callbacks.append(self._forget)
        return there

    def lose(self, replica: int) -> None:
        """Send no more of what a lost replica was sending or receiving."""
        lost = [there for there, ends in self._sending.items() if replica in ends[:2]]
        for there in lost:
            for flow in self._sending.pop(there)[2]:
                self._network.cancel(flow)

    def _forget(self, there: simpy.Event) -> None:
        self._sending.pop(there, None)  # lost after its last byte was sent
