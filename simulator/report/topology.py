"""A topology as tables: links, what lies between GPUs, collectives, sources."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.hardware.topology import Topology
from simulator.report.figures import number, seconds
from simulator.report.tables import frame, say, show
from simulator.study.topology import TopologyStudy
from simulator.units import GIGA

_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


_FINEST_PERCENT = 0.001
"""Below this, what is left is rounding."""


def print_topology(study: TopologyStudy, console: Console) -> None:
    """Print a topology; 80 columns are enough, but for the sources."""
    topology = study.topology
    console.print(Text(f"{topology.title}, {topology.gpus} GPUs", style="bold"))
    show(console, "Links, one direction", _links(topology))
    show(console, "Between two GPUs, alone", _ways(study))
    if study.collectives:
        show(console, "Collectives of all GPUs, alone", _collectives(study))
        say(
            console,
            "Closed forms at peak bandwidth, without kernels; sizes are those of the whole.",
            *_deviation(study),
        )
    console.print(Text("Sources", style="bold"))
    sources = {name: figure.source for name, figure in topology.provenance.items()}
    width = max(map(len, sources))
    for name, source in (sources | {"wiring": topology.wiring_source}).items():
        console.print(Text(f"  {name:<{width}}  {source}"), soft_wrap=True)
    console.print()


def size(size_bytes: int) -> str:
    """Write a size in the largest unit of which it is a whole number.

    Examples
    --------
    >>> size(2**18), size(1000)
    ('256 KiB', '1,000 B')
    """
    for unit_bytes, unit in _UNITS:
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes:,} {unit}"
    return f"{size_bytes:,} B"


def _links(topology: Topology) -> Table:
    table = frame("kind", "links>", "from", "to", "GB/s>", "latency>", "duplex", unbroken=1)
    found: Counter[tuple[str, ...]] = Counter()
    for one, other, edge in topology.graph.edges(data=True):
        ends = (end.rstrip("0123456789") for end in (one, other))
        rate, late = number(edge["bandwidth"] / GIGA), seconds(edge["latency_s"])
        found[edge["kind"], *ends, rate, late, edge["duplex"]] += 1
    for (kind, *rest), count in found.items():
        table.add_row(kind, f"{count:,}", *rest)
    return table


def _ways(study: TopologyStudy) -> Table:
    table = frame("pairs>", "links>", "GB/s>", "latency>")
    for way, count in study.ways.items():
        bandwidth, latency = number(way.bandwidth / GIGA), seconds(way.latency_s)
        table.add_row(f"{count:,}", str(way.links), bandwidth, latency)
    return table


def _collectives(study: TopologyStudy) -> Table:
    table = frame("", "size>", "fastest", "time>", unbroken=1)
    for name, choices in study.collectives.items():
        label = name.replace("_", "-")
        for size_bytes, (algorithm, time_s) in choices.items():
            words = algorithm.replace("_", "-")
            table.add_row(label, size(size_bytes), words, seconds(time_s))
            label = ""
        table.add_section()
    return table


def _deviation(study: TopologyStudy) -> list[str]:
    if study.deviation is None:
        return []
    percent = max(100 * study.deviation, _FINEST_PERCENT)
    return [f"Simulated transfer by transfer, every algorithm is within {percent:.2g} % of them."]
