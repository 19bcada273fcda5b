"""A topology as a picture: GPUs in a row, what joins them above, what joins only GPUs below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from simulator.hardware.topology import Topology
from simulator.hardware.wiring import GPU
from simulator.report.figures import number
from simulator.report.plots import drawing
from simulator.units import GIGA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = tuple[float, float]

_COLOURS = ("#0b6bcb", "#2a9d5c", "#d1495b", "#e08e0b", "#7251b5")
_MOST_WIDTH = 24.0
"""Inches."""
_NAMED_GPUS = 40
"""More GPUs than this have no room for names."""


def plot_topology(topology: Topology, destination: Path | str) -> Path:
    """Draw a topology; wider lines have more bandwidth. Return ``destination``.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    places = layout(topology)
    heights = {height for _, height in places.values()}
    width = min(_MOST_WIDTH, max(6.4, 0.45 * topology.gpus))
    with drawing(destination, width=width, height=1.2 + 1.3 * len(heights)) as figure:
        axes = figure.subplots()
        _draw_links(axes, topology, places)
        _draw_vertices(axes, topology, places)
        axes.set_title(topology.title, loc="left")
        axes.set_axis_off()
        axes.margins(0.04, 0.15)
        figure.legend(frameon=False, loc="outside lower center", ncols=len(_COLOURS))
    return Path(destination)


def layout(topology: Topology) -> dict[str, Place]:
    """Return where each vertex stands.

    GPUs stand at height 0, others as high as they are far from a GPU, in the middle of those below
    them. Where the network goes on above, what joins only GPUs stands below them.
    """
    graph = topology.graph
    gpus = [f"{GPU}{number}" for number in range(topology.gpus)]
    far = nx.multi_source_dijkstra_path_length(graph, set(gpus), weight=lambda *_: 1)
    places: dict[str, Place] = {gpu: (float(x), 0.0) for x, gpu in enumerate(gpus)}
    high = max(far.values()) > 1
    for vertex in sorted(set(graph) - set(gpus), key=lambda name: (far[name], name)):
        below = [other for other in graph[vertex] if far[other] < far[vertex]]
        only_gpus = far[vertex] == 1 and all(far[other] == 0 for other in graph[vertex])
        height = -1.0 if high and only_gpus else float(far[vertex])
        places[vertex] = float(np.mean([places[other][0] for other in below])), height
    return _apart(places)


def _apart(places: dict[str, Place]) -> dict[str, Place]:
    """Move apart what would stand in one place: rails meet in the middle of the same nodes."""
    rows: dict[Place, list[str]] = {}
    for name, place in places.items():
        rows.setdefault(place, []).append(name)
    moved = dict(places)
    span = max(x for x, _ in places.values())
    for (x, height), names in rows.items():
        gap = min(2.0, span / len(names))
        for position, name in enumerate(names):
            moved[name] = x + gap * (position - (len(names) - 1) / 2), height
    return moved


def _draw_links(axes: Axes, topology: Topology, places: dict[str, Place]) -> None:
    kinds = dict.fromkeys(link.kind for link in topology.links.values())
    colours = {kind: _COLOURS[at % len(_COLOURS)] for at, kind in enumerate(kinds)}
    labelled = set()
    for one, other, edge in topology.graph.edges(data=True):
        kind, rate = edge["kind"], edge["bandwidth"] / GIGA
        label = f"{kind} {number(rate)} GB/s" + (
            " (half duplex)" if edge["duplex"] == "half" else ""
        )
        x, y = _curve(places[one], places[other])
        axes.plot(
            x,
            y,
            color=colours[kind],
            linewidth=max(0.6, np.log10(max(rate, 1.0))),
            label=None if label in labelled else label,
            zorder=1,
        )
        labelled.add(label)


def _curve(one: Place, other: Place) -> tuple[np.ndarray, np.ndarray]:
    """Return a line, or between two of one height a bow above them."""
    along = np.linspace(0.0, 1.0, 21)
    rise = 1.2 * along * (1 - along) if one[1] == other[1] else 0.0
    x = one[0] + along * (other[0] - one[0])
    return x, one[1] + along * (other[1] - one[1]) + rise


def _draw_vertices(axes: Axes, topology: Topology, places: dict[str, Place]) -> None:
    for name, (x, y) in places.items():
        is_gpu = name.startswith(GPU)
        named = topology.gpus <= _NAMED_GPUS or not is_gpu
        label = name.removeprefix(GPU) if is_gpu else name
        box = {
            "boxstyle": "round,pad=0.25",
            "facecolor": "#333333" if is_gpu else "white",
            "edgecolor": "#333333",
            "linewidth": 0.8,
        }
        colour = "white" if is_gpu else "#333333"
        text = label if named else " "
        axes.text(x, y, text, ha="center", va="center", fontsize=7, color=colour, bbox=box)
