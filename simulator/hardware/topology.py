"""Topologies as data: GPUs, the links between them, and the routes over these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, TableError, unknown
from simulator.hardware.wiring import FULL, GPU, read_kinds, wire
from simulator.quantities import (
    Quantity,
    data_names,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)

if TYPE_CHECKING:
    import networkx as nx

_PACKAGE = "simulator.hardware_specs.links"

_KEYS = ("title", "gpus", "island_gpus", "links", "wiring", "wiring_source")

_MOST_GPUS = 512
"""Tables by pair grow with the square."""

ROUTED_BYTES = 2.0**20
"""Size of the message for which a route is the fastest, link after link."""

Route = tuple[int, ...]
"""Numbers of the channels that a transfer goes through."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two vertices.

    Parameters
    ----------
    name
        Its ends: ``gpu0-nvswitch0``.
    kind
        Name of its kind in the data file.
    channels
        Number of the channel from the first end to the second, and of that back; one and the same
        at half duplex.
    """

    name: str
    kind: str
    channels: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """GPUs and the links between them. Bandwidths are peaks.

    A *channel* is what transfers share: one direction of a link, or all of it at half duplex.

    Parameters
    ----------
    name, title
        Key in ``hardware_specs/links``, or a path, and the name people use.
    gpus, island_gpus
        How many there are, and how many of them in a row are close: a node, a socket, a pair.
    graph
        Vertices and links (`wiring.wire`).
    links
        All links, by name.
    capacities
        Of each channel, bytes/s.
    routes
        By sending and receiving GPU; empty from a GPU to itself.
    latency_s, bandwidth
        By sending and receiving GPU: of the route, alone on it, s and bytes/s; shape (gpus, gpus),
        0 and infinity from a GPU to itself.
    provenance
        Every figure as it stands in the data file.
    wiring_source
        Where the wiring comes from.
    """

    name: str
    title: str
    gpus: int
    island_gpus: int
    graph: nx.Graph[str]
    links: dict[str, Link]
    capacities: tuple[float, ...]
    routes: tuple[tuple[Route, ...], ...]
    latency_s: NDArray[np.float64]
    bandwidth: NDArray[np.float64]
    provenance: dict[str, Quantity]
    wiring_source: str

    def link(self, name: str, origin: str) -> Link:
        """Return a link by its name, its ends in either order.

        Raises
        ------
        ConfigError
            If there is none; the message names the nearest.
        """
        turned = "-".join(reversed(name.split("-")))
        for spelling in (name, turned):
            if spelling in self.links:
                return self.links[spelling]
        raise ConfigError(unknown("link", name, self.links, f"{origin} ({self.title})"))

    @property
    def islands(self) -> int:
        """How many islands there are: nodes, where an island is a node."""
        return self.gpus // self.island_gpus

    def first(self, gpus: int) -> Topology:
        """Return the same links with only the first GPUs on them: those that a replica has.

        Routes are those of the whole. Part of an island is an island; else islands are whole.

        Raises
        ------
        ConfigError
            If there are not so many GPUs, or they do not fill islands.

        Examples
        --------
        >>> rails = load_topology("rails_infiniband_h100")
        >>> [(part.gpus, part.islands) for part in map(rails.first, (4, 8, 16))]
        [(4, 1), (8, 1), (16, 2)]
        """
        return _first(self, gpus)


@cache
def _first(topology: Topology, gpus: int) -> Topology:
    if not 1 <= gpus <= topology.gpus:
        raise ConfigError(
            f"{topology.title} has {topology.gpus} GPUs, {gpus} are asked for; name a larger "
            "topology, or write one (`moesim show cluster` draws it)."
        )
    island_gpus = min(topology.island_gpus, gpus)
    if gpus % island_gpus:
        raise ConfigError(
            f"{gpus} GPUs leave an island of {island_gpus} half empty on {topology.title}; "
            f"take a multiple of {island_gpus}."
        )
    return replace(
        topology,
        gpus=gpus,
        island_gpus=island_gpus,
        routes=tuple(row[:gpus] for row in topology.routes[:gpus]),
        latency_s=topology.latency_s[:gpus, :gpus],
        bandwidth=topology.bandwidth[:gpus, :gpus],
    )


def topology_names() -> list[str]:
    """List the topologies in ``hardware_specs/links``."""
    return data_names(_PACKAGE)


def load_topology(name: str) -> Topology:
    """Load one topology by name, or from a file of the same form by its path.

    Raises
    ------
    TableError
        If there is no such topology or file, a figure is missing, impossible or without its
        source, or a GPU cannot reach another.

    Examples
    --------
    >>> load_topology("nvl72").bandwidth[0, 71] / 1e9
    np.float64(900.0)
    """
    if not names_a_file(name):
        return _shipped(name)
    return _topology(name, read_data_file(name, "topology"), name)


@cache
def _shipped(name: str) -> Topology:
    return _topology(
        name, read_data(_PACKAGE, name, "topology"), f"hardware_specs/links/{name}.yaml"
    )


def _topology(name: str, data: Mapping[str, Any], origin: str) -> Topology:
    """Build a topology from the mapping of a specification."""
    for key in data:
        if key not in _KEYS:
            raise TableError(unknown("key", str(key), _KEYS, origin))
    missing = [key for key in _KEYS[1:] if not data.get(key)]
    if missing:
        raise TableError(f"{origin} lacks {', '.join(missing)}.")
    if not isinstance(data["wiring"], Sequence) or isinstance(data["wiring"], str):
        raise TableError(f"{origin}: wiring is {data['wiring']!r}; write a list of links.")
    counts = read_quantities({key: data[key] for key in ("gpus", "island_gpus")}, origin)
    gpus, island_gpus = (_count(counts[key], key, origin) for key in counts)
    if gpus % island_gpus:
        raise TableError(f"{origin}: island_gpus={island_gpus} does not divide gpus={gpus}.")
    kinds, figures = read_kinds(data["links"], origin)
    graph = wire(gpus, kinds, data["wiring"], origin)
    links, capacities = _channels(graph)
    routes = _routes(graph, gpus, links, origin)
    latencies = {c: e["latency_s"] for *_, e in graph.edges(data=True) for c in e["channels"]}
    return Topology(
        name=name,
        title=str(data.get("title", name)),
        gpus=gpus,
        island_gpus=island_gpus,
        graph=graph,
        links=links,
        capacities=capacities,
        routes=routes,
        latency_s=np.array([[sum(latencies[c] for c in r) for r in row] for row in routes]),
        bandwidth=np.array(
            [[min((capacities[c] for c in r), default=np.inf) for r in row] for row in routes]
        ),
        provenance=counts | figures,
        wiring_source=str(data["wiring_source"]),
    )


def _count(figure: Quantity, key: str, origin: str) -> int:
    if figure.value != int(figure.value) or not 1 <= figure.value <= _MOST_GPUS:
        raise TableError(
            f"{origin}: {key} is {figure.value!r}; it must be an integer in 1..{_MOST_GPUS}."
        )
    return int(figure.value)


def _channels(graph: nx.Graph[str]) -> tuple[dict[str, Link], tuple[float, ...]]:
    """Return links and capacities, and note at each edge the channels it gets."""
    links: dict[str, Link] = {}
    capacities: list[float] = []
    for one, other, edge in graph.edges(data=True):
        first = len(capacities)
        count = 2 if edge["duplex"] == FULL else 1
        capacities += [edge["bandwidth"]] * count
        edge["channels"] = first, first + count - 1
        name = f"{one}-{other}"
        links[name] = Link(name, edge["kind"], edge["channels"])
    return links, tuple(capacities)


def _routes(
    graph: nx.Graph[str], gpus: int, links: Mapping[str, Link], origin: str
) -> tuple[tuple[Route, ...], ...]:
    """Return the fastest routes of a message of `ROUTED_BYTES`; no GPU passes on for others."""
    from networkx import single_source_dijkstra_path  # noqa: PLC0415 - see `wiring.wire`

    table = []
    for sender in range(gpus):
        source = f"{GPU}{sender}"
        paths = single_source_dijkstra_path(graph, source, weight=_cost_from(source))
        row = []
        for receiver in range(gpus):
            path = paths.get(f"{GPU}{receiver}")
            if path is None:
                raise TableError(
                    f"{origin}: {source} reaches {GPU}{receiver} over no link, and GPUs pass "
                    "nothing on; add to wiring what joins them."
                )
            row.append(tuple(_channel(links, *pair) for pair in pairwise(path)))
        table.append(tuple(row))
    return tuple(table)


def _cost_from(source: str) -> Any:
    """Return the time of a link on the way from a GPU; None where there is no way on."""

    def cost(one: str, _: str, edge: Mapping[str, Any]) -> float | None:
        if one.startswith(GPU) and one != source:
            return None
        return float(edge["latency_s"] + ROUTED_BYTES / edge["bandwidth"])

    return cost


def _channel(links: Mapping[str, Link], one: str, other: str) -> int:
    forward = links.get(f"{one}-{other}")
    return forward.channels[0] if forward else links[f"{other}-{one}"].channels[1]
