"""Collectives on a topology: what they send, what that takes alone, and which way is fastest.

A collective is a row of steps; a step begins when all of the one before has arrived, and takes the
latency of its longest route and the time of its fullest channel (alpha-beta with sharing: Thakur,
Rabenseifner and Gropp, IJHPCA 2005; Chan et al., Concurrency 2007). Kernels and what they compute
are not in it.

Latencies are those of the links' data files: of NCCL's own model of its protocols where it has one,
all marked as assumed. A kernel of a library takes several microseconds more; measured tables have
that, and `kernels.communication` adds to them only what more GPUs add here.

Sizes are those of the whole: the vector that every GPU brings to a reduction, what all have after
an all-gather, what each GPU holds for all, itself included, before an all-to-all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import simpy

from simulator.errors import ConfigError, unknown
from simulator.hardware.link_network import LinkNetwork
from simulator.hardware.topology import Topology


class Sent(NamedTuple):
    """What one GPU sends another in a step."""

    sender: int
    receiver: int
    size_bytes: float


class Steps(NamedTuple):
    """Equal steps after one another."""

    times: int
    sent: Sequence[Sent]


Algorithm = Callable[[Topology, float], list[Steps]]
"""From a topology and a size in bytes to steps; none where it does not apply."""


def _pairwise(gpus: int, size_bytes: float) -> list[Steps]:
    """Let every GPU send so much to every other, at once."""
    pairs = ((one, other) for one in range(gpus) for other in range(gpus) if one != other)
    return [Steps(1, [Sent(one, other, size_bytes) for one, other in pairs])]


def _rings(rings: Iterable[Sequence[int]], times: int, size_bytes: float) -> Steps:
    """Let every GPU send so much to the next of its ring, so many times."""
    sent = [
        Sent(one, ring[(place + 1) % len(ring)], size_bytes)
        for ring in rings
        for place, one in enumerate(ring)
    ]
    return Steps(times, sent)


def all_reduce_one_shot(topology: Topology, size_bytes: float) -> list[Steps]:
    """Everyone sends all it has to everyone, and adds up by itself: α + (n-1) m/B."""
    return _pairwise(topology.gpus, size_bytes)


def all_reduce_ring(topology: Topology, size_bytes: float) -> list[Steps]:
    """Reduce-scatter, then all-gather around a ring: 2 (n-1) (α + m/(n B))."""
    gpus = topology.gpus
    return [_rings([range(gpus)], 2 * (gpus - 1), size_bytes / gpus)]


def all_reduce_tree(topology: Topology, size_bytes: float) -> list[Steps]:
    """Up a binomial tree and down again, not pipelined: 2 ⌈log₂ n⌉ (α + m/B)."""
    up = []
    stride = 1
    while stride < topology.gpus:
        senders = range(stride, topology.gpus, 2 * stride)
        up.append(Steps(1, [Sent(one, one - stride, size_bytes) for one in senders]))
        stride *= 2
    down = [Steps(1, [Sent(to, one, size) for one, to, size in step.sent]) for step in up]
    return [*up, *reversed(down)]


def all_reduce_hierarchical(topology: Topology, size_bytes: float) -> list[Steps]:
    """Rings within islands, and between the GPUs of one place in theirs; none on one island.

    With N islands of g: 2 (g-1) (α + m/(g B)) within, and 2 (N-1) (α' + m/(n B')) between.
    """
    scatter = reduce_scatter_hierarchical(topology, size_bytes)
    return scatter + all_gather_hierarchical(topology, size_bytes)


def reduce_scatter_hierarchical(topology: Topology, size_bytes: float) -> list[Steps]:
    """Within islands, then between GPUs of one place: half of the all-reduce, each by rings."""
    return all_gather_hierarchical(topology, size_bytes)[::-1]


def all_gather_hierarchical(topology: Topology, size_bytes: float) -> list[Steps]:
    """Between the GPUs of one place, then within islands; none on one island.

    (N-1) (α' + m/(n B')) between, so that every card carries its share, and
    (g-1) (α + m/(g B)) within.
    """
    if not _has_levels(topology):
        return []
    gpus, island = topology.gpus, topology.island_gpus
    within = [range(first, first + island) for first in range(0, gpus, island)]
    across = [range(place, gpus, island) for place in range(island)]
    return [
        _rings(across, topology.islands - 1, size_bytes / gpus),
        _rings(within, island - 1, size_bytes / island),
    ]


def all_to_all_hierarchical(topology: Topology, size_bytes: float) -> list[Steps]:
    """To the GPU of one's own place in another island, and on from there; none on one island.

    Islands pass on what has come while the rest is coming, so both go on at once:
    α' + α + max((N-1)/N m/B', (g-1)/g m/B).
    """
    if not _has_levels(topology):
        return []
    island = topology.island_gpus
    return over_rails(topology, size_bytes / topology.islands, size_bytes / island)


def over_rails(topology: Topology, rail_bytes: float, island_bytes: float) -> list[Steps]:
    """Return an exchange that goes over the rails and is passed on within islands, at once.

    Parameters
    ----------
    topology
        With several islands.
    rail_bytes
        From every GPU to each of its place in another island.
    island_bytes
        From every GPU to each of its island: for it, and from others for it.
    """
    gpus, island = range(topology.gpus), topology.island_gpus
    rails = [
        Sent(one, other, rail_bytes)
        for one in gpus
        for other in range(one % island, topology.gpus, island)
        if one != other
    ]
    near = [
        Sent(one, first + place, island_bytes)
        for one in gpus
        for first in (one - one % island,)
        for place in range(island)
        if one != first + place
    ]
    last = [sent._replace(size_bytes=0.0) for sent in near]
    return [Steps(1, [*rails, *near]), Steps(1, last)]


def _has_levels(topology: Topology) -> bool:
    """Tell whether there are several islands, of several GPUs each."""
    return topology.islands > 1 and topology.island_gpus > 1


def shared_one_shot(topology: Topology, size_bytes: float) -> list[Steps]:
    """Everyone sends everyone a share, at once: α + (n-1)/n m/B."""
    return _pairwise(topology.gpus, size_bytes / topology.gpus)


def shared_ring(topology: Topology, size_bytes: float) -> list[Steps]:
    """Shares go around a ring: (n-1) (α + m/(n B))."""
    gpus = topology.gpus
    return [_rings([range(gpus)], gpus - 1, size_bytes / gpus)]


COLLECTIVES: dict[str, dict[str, Algorithm]] = {
    "all_reduce": {
        "one_shot": all_reduce_one_shot,
        "ring": all_reduce_ring,
        "tree": all_reduce_tree,
        "hierarchical": all_reduce_hierarchical,
    },
    "all_gather": {
        "one_shot": shared_one_shot,
        "ring": shared_ring,
        "hierarchical": all_gather_hierarchical,
    },
    "reduce_scatter": {
        "one_shot": shared_one_shot,
        "ring": shared_ring,
        "hierarchical": reduce_scatter_hierarchical,
    },
    "all_to_all": {"one_shot": shared_one_shot, "hierarchical": all_to_all_hierarchical},
}
"""Algorithms by collective."""


def alone_s(topology: Topology, steps: Sequence[Steps]) -> float:
    """Return what steps take that have the topology to themselves, in closed form, s.

    Examples
    --------
    >>> from simulator.hardware.topology import load_topology
    >>> node = load_topology("nvswitch_h100")
    >>> round(alone_s(node, all_reduce_ring(node, 8 * 450e3)) * 1e6, 1)  # 14 (0.6 + 1) us
    22.4
    """
    return sum(times * _step_s(topology, sent) for times, sent in steps)


def _step_s(topology: Topology, sent: Sequence[Sent]) -> float:
    load_bytes: dict[int, float] = defaultdict(float)
    for one, other, size_bytes in sent:
        for channel in topology.routes[one][other]:
            load_bytes[channel] += size_bytes
    longest_s = max(load / topology.capacities[channel] for channel, load in load_bytes.items())
    return float(max(topology.latency_s[one, other] for one, other, _ in sent)) + longest_s


def simulated_s(topology: Topology, steps: Sequence[Steps]) -> float:
    """Return what the same takes transfer by transfer, on a network of its own, s."""
    env = simpy.Environment()
    network = LinkNetwork(env, topology)

    def follow() -> Generator[simpy.Event, Any, None]:
        """Send the transfers of a step together, and wait for all of them."""
        for times, sent in steps:
            for _ in range(times):
                yield env.all_of([network.send(*one).there for one in sent])

    env.run(env.process(follow()))
    return float(env.now)


class Line(NamedTuple):
    """The time of an algorithm alone, as a line over the size: alpha-beta.

    Parameters
    ----------
    algorithm
        Its name in `COLLECTIVES`.
    latency_s
        Of an empty message, s.
    s_per_byte
        What each byte of the size adds, s/byte.
    """

    algorithm: str
    latency_s: float
    s_per_byte: float

    def at(self, size_bytes: float) -> float:
        """Return the time of a size, s."""
        return self.latency_s + self.s_per_byte * size_bytes


@cache
def lines(topology: Topology, collective: str) -> tuple[Line, ...]:
    """Return the algorithms of a collective that apply, each as a line over the size.

    Raises
    ------
    ConfigError
        If there is no such collective, or the topology has one GPU.

    Examples
    --------
    >>> from simulator.hardware.topology import load_topology
    >>> [way.algorithm for way in lines(load_topology("nvl72"), "all_gather")]
    ['one_shot', 'ring']
    """
    if collective not in COLLECTIVES:
        raise ConfigError(unknown("collective", collective, COLLECTIVES))
    if topology.gpus == 1:
        raise ConfigError(f"{topology.title} has one GPU: there is no {collective}.")
    found = (line(topology, name, way) for name, way in COLLECTIVES[collective].items())
    return tuple(one for one in found if one is not None)


def line(topology: Topology, name: str, algorithm: Algorithm) -> Line | None:
    """Return an algorithm as a line over the size; None where it does not apply."""
    steps = algorithm(topology, _LARGE_BYTES)
    if not steps:
        return None
    latency_s = alone_s(topology, algorithm(topology, 0.0))
    return Line(name, latency_s, (alone_s(topology, steps) - latency_s) / _LARGE_BYTES)


_LARGE_BYTES = 1e9
"""Far above what latency is worth: the slope of a line has all its digits."""


class Choice(NamedTuple):
    """The fastest algorithm, and its time, s."""

    algorithm: str
    seconds: float


def fastest(topology: Topology, collective: str, size_bytes: float) -> Choice:
    """Return the algorithm that is fastest alone.

    Raises
    ------
    ConfigError
        If there is no such collective, or the topology has one GPU.
    """
    ways = lines(topology, collective)
    found = (Choice(way.algorithm, way.at(size_bytes)) for way in ways)
    return min(found, key=lambda choice: choice.seconds)
