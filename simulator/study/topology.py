"""What a topology is good for: what lies between its GPUs, and collectives on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulator.hardware.collectives import (
    COLLECTIVES,
    Choice,
    alone_s,
    fastest,
    simulated_s,
)
from simulator.hardware.topology import Topology


class Way(NamedTuple):
    """What lies between two GPUs, one way."""

    links: int
    bandwidth: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class TopologyStudy:
    """A topology and its figures.

    Parameters
    ----------
    topology
        Which.
    ways
        How many pairs of GPUs, counted in both directions, have so much between them.
    collectives
        The fastest algorithm and its time, by collective and size in bytes; none for one GPU.
    deviation
        Largest relative difference of any algorithm at any size, simulated transfer by transfer,
        from its closed form; None if that was not looked at.
    """

    topology: Topology
    ways: dict[Way, int]
    collectives: dict[str, dict[int, Choice]]
    deviation: float | None


def study_topology(topology: Topology, sizes_bytes: Sequence[int], *, check: bool) -> TopologyStudy:
    """Look at a topology.

    Parameters
    ----------
    topology
        Which.
    sizes_bytes
        Sizes of messages; their meaning is that of `hardware.collectives`.
    check
        Simulate every algorithm beside its closed form.
    """
    known = COLLECTIVES if topology.gpus > 1 else {}
    return TopologyStudy(
        topology,
        _ways(topology),
        {name: {size: fastest(topology, name, size) for size in sizes_bytes} for name in known},
        deviation(topology, sizes_bytes) if check and known else None,
    )


def _ways(topology: Topology) -> dict[Way, int]:
    """Count pairs by what lies between them, the widest first."""
    gpus = range(topology.gpus)
    found = Counter(
        Way(
            len(topology.routes[one][other]),
            float(topology.bandwidth[one, other]),
            round(float(topology.latency_s[one, other]), 12),  # sums differ in their last bits
        )
        for one in gpus
        for other in gpus
        if one != other
    )
    return dict(sorted(found.items(), key=lambda item: (-item[0].bandwidth, item[0].latency_s)))


def deviation(topology: Topology, sizes_bytes: Sequence[float]) -> float:
    """Return how far transfers are from the closed forms of all collectives, relatively, at most.

    Parameters
    ----------
    topology
        With two GPUs or more.
    sizes_bytes
        Sizes to look at.
    """
    # The same algorithm serves several collectives.
    algorithms = {way for ways in COLLECTIVES.values() for way in ways.values()}
    largest = 0.0
    for algorithm in algorithms:
        for size_bytes in sizes_bytes:
            steps = algorithm(topology, size_bytes)
            if steps:
                closed_s = alone_s(topology, steps)
                largest = max(largest, abs(simulated_s(topology, steps) / closed_s - 1))
    return largest


def summary(study: TopologyStudy) -> dict[str, Any]:
    """Return what goes into ``summary.json``: figures in SI units under ``"metrics"``."""
    topology = study.topology
    metrics = {
        f"{name}_{size}_s": choice.seconds
        for name, choices in study.collectives.items()
        for size, choice in choices.items()
    }
    if study.deviation is not None:
        metrics["deviation"] = study.deviation
    return {
        "topology": topology.name,
        "title": topology.title,
        "gpus": topology.gpus,
        "links": {
            name: {
                "kind": link.kind,
                "bytes_per_s": topology.capacities[link.channels[0]],
            }
            for name, link in topology.links.items()
        },
        "pairs": [way._asdict() | {"pairs": count} for way, count in study.ways.items()],
        "algorithms": {
            name: {str(size): choice.algorithm for size, choice in choices.items()}
            for name, choices in study.collectives.items()
        },
        "metrics": metrics,
    }
