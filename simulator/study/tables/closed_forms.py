"""Closed forms of collectives and exchanges on topologies, against transfers that share links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import simpy

from simulator.hardware.collectives import Steps, alone_s, simulated_s
from simulator.hardware.exchange import KINDS, Exchange, combine_steps, dispatch_steps
from simulator.hardware.link_network import LinkNetwork
from simulator.hardware.topology import Topology, load_topology
from simulator.study.topology import deviation

SIZES_BYTES = (4096.0, 1e6, 1e9)
"""Of messages: latency rules the first, bandwidth the last."""

MANY_GPUS = 72
"""From here on the middle size stands for all: every pair is a transfer."""

TOP_K, EXPERTS = 8, 256
"""The routing of DeepSeek-V3, for exchanges."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far closed forms are from transfers on one topology.

    Parameters
    ----------
    topology
        Its name.
    gpus
        How many it has.
    collectives_error, exchanges_error
        Largest relative difference over collectives, and over exchanges of experts' tokens.
    two_flows
        Time on its way of a transfer beside an equal one on the same links, over that alone;
        the largest and the smallest ratio over routes from the first GPU.
    """

    topology: str
    gpus: int
    collectives_error: float
    exchanges_error: float
    two_flows: tuple[float, float]


def agreement(name: str) -> Agreement:
    """Compare every closed form on a topology with its transfers."""
    topology = load_topology(name)
    sizes = SIZES_BYTES if topology.gpus < MANY_GPUS else SIZES_BYTES[1:2]
    exchanges = (
        abs(simulated_s(topology, steps) / alone_s(topology, steps) - 1)
        for size_bytes in sizes
        for steps in _exchanges(topology, size_bytes)
    )
    ratios = [_two_flows(topology, receiver) for receiver in range(1, topology.gpus)]
    return Agreement(
        topology=name,
        gpus=topology.gpus,
        collectives_error=deviation(topology, sizes),
        exchanges_error=max(exchanges),
        two_flows=(min(ratios), max(ratios)),
    )


def _exchanges(topology: Topology, size_bytes: float) -> Iterator[list[Steps]]:
    """Return dispatch and combine of both kinds, as steps."""
    for kind in KINDS:
        exchange = Exchange(kind, topology.gpus, topology.islands, TOP_K, EXPERTS)
        yield dispatch_steps(topology, exchange, size_bytes)
        yield combine_steps(topology, exchange, size_bytes)


def _two_flows(topology: Topology, receiver: int) -> float:
    """Return how much longer two equal transfers of one route are on their way than one."""
    latency_s = float(topology.latency_s[0, receiver])
    times_s = []
    for flows in (1, 2):
        env = simpy.Environment()
        network = LinkNetwork(env, topology)
        env.run(env.all_of([network.send(0, receiver, 1e6).there for _ in range(flows)]))
        times_s.append(env.now - latency_s)
    return float(times_s[1] / times_s[0])
