"""How GPUs are wired: lines of a data file that stand for many links, as a graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, TableError, unknown
from simulator.mapping import from_mapping
from simulator.quantities import Quantity, read_quantities

if TYPE_CHECKING:
    import networkx as nx

GPU = "gpu"
"""Kind of the vertices that send and receive; all others only pass on."""

FULL, HALF = DUPLEX = ("full", "half")
"""Whether the directions of a link have a bandwidth each, or share one."""


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A kind of link.

    Parameters
    ----------
    bandwidth
        Peak of one direction, bytes/s; at half duplex of both together.
    latency_s
        Of a first byte, s.
    duplex
        ``full`` or ``half``.
    """

    bandwidth: float
    latency_s: float
    duplex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """An entry of ``wiring``: a link from each vertex of a kind, upwards or among each other.

    Parameters
    ----------
    link
        The kind of link.
    each
        Kind of the vertices that get one; ``gpu``, or the ``to`` of an entry before.
    to
        Kind of the vertices at the other end; vertex i goes to number i // ``group``, or
        i % ``stride``, or all to one.
    group, stride
        As said; one at most.
    mesh
        Instead of ``to``: so many neighbours have a link with one another.
    width
        Links side by side, which act as one of the sum of their bandwidths.
    """

    link: str
    each: str
    to: str | None = None
    group: int | None = None
    stride: int | None = None
    mesh: int | None = None
    width: int = 1

    def __post_init__(self) -> None:
        if (self.to is None) == (self.mesh is None):
            raise ConfigError(f"wiring of {self.each}: give either to or mesh.")
        if self.group is not None and self.stride is not None:
            raise ConfigError(f"wiring of {self.each}: give group or stride, not both.")
        if self.mesh is not None and (self.group, self.stride) != (None, None):
            raise ConfigError(f"wiring of {self.each}: group and stride have no effect on a mesh.")
        if self.to == GPU:
            raise ConfigError(f"wiring of {self.each}: links start at GPUs; swap each and to.")
        for key, least in (("group", 1), ("stride", 1), ("width", 1), ("mesh", 2)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"wiring of {self.each}: {key}={value!r} is below {least}.")

    def ends(self, count: int) -> Iterator[tuple[str, str]]:
        """Return the two ends of each link that it stands for.

        Parameters
        ----------
        count
            Vertices of the kind ``each``.

        Examples
        --------
        >>> list(Wires(link="pcie", each="gpu", to="switch", group=2).ends(3))
        [('gpu0', 'switch0'), ('gpu1', 'switch0'), ('gpu2', 'switch1')]
        >>> list(Wires(link="nvlink", each="gpu", mesh=2).ends(4))
        [('gpu0', 'gpu1'), ('gpu2', 'gpu3')]
        """
        if self.mesh is not None:
            for first in range(0, count, self.mesh):
                near = range(first, min(first + self.mesh, count))
                for one, other in combinations(near, 2):
                    yield f"{self.each}{one}", f"{self.each}{other}"
            return
        for number in range(count):
            yield f"{self.each}{number}", f"{self.to}{self._upper(number, count)}"

    def upper_count(self, count: int) -> int:
        """Return how many vertices of the kind ``to`` there are."""
        return 1 + max(self._upper(number, count) for number in range(count))

    def _upper(self, number: int, count: int) -> int:
        if self.stride is not None:
            return number % self.stride
        return number // (self.group or count)


def read_kinds(entries: Any, origin: str) -> tuple[dict[str, LinkKind], dict[str, Quantity]]:
    """Read the ``links`` of a data file; return the kinds by name, and every figure.

    Raises
    ------
    TableError
        If there are none, or a figure is missing, impossible or without its source.
    """
    if not isinstance(entries, Mapping) or not entries:
        raise TableError(f"{origin} lacks links: the kinds of link, by name.")
    kinds: dict[str, LinkKind] = {}
    provenance: dict[str, Quantity] = {}
    for name, entry in entries.items():
        place = f"{origin}: links.{name}"
        if not isinstance(entry, Mapping):
            raise TableError(f"{place} is {entry!r}; write bandwidth, latency and duplex.")
        for key in entry:
            if key not in ("bandwidth", "latency", "duplex"):
                keys = ("bandwidth", "latency", "duplex")
                raise TableError(unknown("figure", str(key), keys, place))
        duplex = entry.get("duplex")
        if duplex not in DUPLEX:
            raise TableError(unknown("duplex", str(duplex), DUPLEX, place))
        figures = {key: entry.get(key) for key in ("bandwidth", "latency")}
        found = read_quantities(figures, place)
        _check_range(found["bandwidth"], f"{place}: bandwidth", positive=True)
        _check_range(found["latency"], f"{place}: latency", positive=False)
        kinds[str(name)] = LinkKind(found["bandwidth"].value, found["latency"].value, str(duplex))
        provenance |= {f"{name}.{key}": quantity for key, quantity in found.items()}
    return kinds, provenance


def _check_range(figure: Quantity, place: str, *, positive: bool) -> None:
    least = math.ulp(0.0) if positive else 0.0
    if not least <= figure.value < math.inf:
        bound = "positive" if positive else "at least 0"
        raise TableError(f"{place} is {figure.value!r}; it must be {bound} and finite.")


def wire(
    gpus: int, kinds: Mapping[str, LinkKind], entries: Sequence[Any], origin: str
) -> nx.Graph[str]:
    """Return the graph that the ``wiring`` of a data file describes.

    Parameters
    ----------
    gpus
        Vertices ``gpu0``, ``gpu1``, ...
    kinds
        Kinds of link by name.
    entries
        As they stand in the file, see `Wires`.
    origin
        The file, for messages.

    Returns
    -------
    networkx.Graph
        Edges have ``kind`` (its name), ``bandwidth`` (bytes/s), ``latency_s`` and ``duplex``.

    Raises
    ------
    TableError
        If an entry makes no sense, a kind of link is not used, or two vertices get two links.
    """
    import networkx as nx  # noqa: PLC0415 - slow to import, and most runs have no topology

    graph: nx.Graph[str] = nx.Graph()
    counts = {GPU: gpus}
    graph.add_nodes_from(f"{GPU}{number}" for number in range(gpus))
    used = set()
    for position, entry in enumerate(entries):
        place = f"{origin}: wiring[{position}]"
        wires = _read_wires(entry, kinds, counts, place)
        used.add(wires.link)
        _add(graph, wires, kinds[wires.link], counts[wires.each], place)
        if wires.to is not None:
            found = wires.upper_count(counts[wires.each])
            counts[wires.to] = max(found, counts.get(wires.to, 0))
    unused = sorted(set(kinds) - used)
    if unused:
        raise TableError(f"{origin}: no wiring uses the links {', '.join(unused)}; drop them.")
    return graph


def _read_wires(
    entry: Any, kinds: Mapping[str, LinkKind], counts: Mapping[str, int], place: str
) -> Wires:
    if not isinstance(entry, Mapping):
        raise TableError(f"{place} is {entry!r}; write {{link, each, to}}.")
    try:
        wires = from_mapping(Wires, entry, place)
    except ConfigError as error:
        message = str(error)
        raise TableError(message if place in message else f"{place}: {message}") from error
    if wires.link not in kinds:
        raise TableError(unknown("link", wires.link, kinds, place))
    if wires.each not in counts:
        raise TableError(unknown("kind of vertex", wires.each, counts, place))
    return wires


def _add(graph: nx.Graph[str], wires: Wires, kind: LinkKind, count: int, place: str) -> None:
    for one, other in wires.ends(count):
        if graph.has_edge(one, other):
            raise TableError(
                f"{place}: {one} and {other} have a link already; widen it by width instead."
            )
        graph.add_edge(
            one,
            other,
            kind=wires.link,
            bandwidth=wires.width * kind.bandwidth,
            latency_s=kind.latency_s,
            duplex=kind.duplex,
        )
