"""What a measurement plan can determine, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import number, seconds
from simulator.report.plots import drawing
from simulator.study.identify.check import Check, Twin
from simulator.study.identify.check_moesd import SCALE
from simulator.study.identify.planning import LIMIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED, _CHANGES = 12, 3
"""Unknowns, and changes of a solution, that are named; more are counted."""

_STAYS_OPEN = (
    "; even then something stays open: measure more exactly (a smaller tolerance), or offer other "
    "settings under 'candidates:'"
)
_NO_SECONDS = " moesim calibrate fit would give no seconds from it."

_TALLEST_IN, _LABELLED = 12.0, 70
"""Height of a picture, inches, and the most nodes of a side that are labelled."""


def print_check(check: Check, console: Console) -> None:
    """Print what a plan determines, what it leaves open, and what to do; fits 80 columns.

    Parameters
    ----------
    check
        What was found.
    console
        Where to print.
    """
    console.print(Text(_verdict(check), style="bold"))
    console.print(_table(check))
    for paragraph in (*_open(check), *_predictions(check), *_advice(check)):
        console.print(Text(paragraph))
        console.print()


def _verdict(check: Check) -> str:
    if check.sufficient:
        return "The plan is sufficient: it determines every unknown."
    if check.determined:
        return "The plan determines every unknown, but should not be measured as it is."
    if not check.free:
        return "The plan is not sufficient: a combination of unknowns stays open."
    left = f"{check.disagreement} of {len(check.unknowns)}"
    return f"The plan is not sufficient: it leaves {left} unknowns open."


def _table(check: Check) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _figures(check):
        table.add_row(name, value)
    return table


def _figures(check: Check) -> Iterator[tuple[str, str]]:
    total = len(check.unknowns)
    yield "plan", f"{len(check.rows)} measurements, {total} unknowns ({check.knowledge})"
    yield "assumed true", check.assumed
    yield "solutions", f"{'' if check.exact else '>= '}{check.solutions:,}"
    yield "pinned", _names([f"{k} ({v})" for k, v in check.pinned.items()])
    yield "free", _names(check.free)
    weighted = "" if check.weights is None else f", weighted {check.weighted_bound:.2f}"
    yield (
        "disagreement d",
        f"{check.disagreement} of {total}: error bound {check.bound:.2f}{weighted}",
    )
    if check.course:
        yield "d by row", ", ".join(map(str, check.course))
    if check.rank is not None:
        known = "" if check.identifiability else " (were tiers continuous)"
        yield "Jacobian rank", f"{check.rank} of {total}{known}"
    yield "sample bound N", f"{check.samples:,}: {check.samples_words}"
    if check.unique_after is not None:
        yield "unique after", f"{check.unique_after} of them in this order"
    if check.planning:
        yield (
            "predictions",
            f"variance {number(check.planning.variance)} times that of one measurement (limit "
            f"{LIMIT:g})",
        )


def _names(names: Sequence[str], most: int = _NAMED) -> str:
    if not names:
        return "none"
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _open(check: Check) -> Iterator[str]:
    """Say what is left open, each with an example."""
    directions = check.identifiability.null_directions if check.identifiability else ()
    for direction in directions:
        names = _names(list(direction.changes))
        told = _NO_SECONDS if direction.words == SCALE else ""
        yield f"No measurement of the plan notices: {direction.words} ({names}).{told}"
    if directions and not check.free:
        yield (
            "The levels hide that: no combination of them is another one along that direction. "
            "Give all times levels of one ratio to see it among the solutions."
        )
    for twin in check.twins:
        apart = (
            "" if twin.difference_s is None else f", {seconds(twin.difference_s)} per step apart"
        )
        yield f"Cannot be told apart: {_changes(twin)}. Yet {twin.words}{apart}."


def _changes(twin: Twin) -> str:
    pairs = [f"{name} {true} or {other}" for name, (true, other) in twin.changes.items()]
    return _names(pairs, _CHANGES)


def _predictions(check: Check) -> Iterator[str]:
    if check.planning and check.planning.flagged:
        reasons = "; ".join(check.planning.reasons)
        yield f"Flagged: {reasons}. The limit is {LIMIT:g}, and more rows than unknowns."


def _advice(check: Check) -> Iterator[str]:
    if check.extra:
        end = "" if check.extra_suffices else _STAYS_OPEN
        count = "measurement" if len(check.extra) == 1 else f"{len(check.extra)} measurements"
        yield f"Smallest extra {count} found: {'; '.join(check.extra)}{end}."
    elif not check.determined:
        yield "No candidate measurement settles it: add other kinds under 'candidates:'."
    if check.planning and check.planning.extra:
        steps = (f"{row.label} ({number(left)})" for row, left in check.planning.extra)
        yield f"To predict well, add in this order (variance after each): {'; '.join(steps)}."
    if check.sufficient and check.knowledge == "moesd":
        yield "Next: measure it, then moesim calibrate fit data=FILE."


def plot_graph(check: Check, destination: Path | str) -> Path:
    """Draw the measurements of a plan and the unknowns that each feels.

    Parameters
    ----------
    check
        What was found.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    longest = max(len(check.unknowns), check.graph.number_of_nodes() - len(check.unknowns))
    height = min(_TALLEST_IN, 1.2 + 0.24 * longest)
    with drawing(destination, width=8.0, height=height) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(-0.45, 1.6)
        _draw(axes, check)
        axes.set_title("unknowns (left; red: not determined) and the measurements that feel them")
    return Path(destination)


def _draw(axes: Axes, check: Check) -> None:
    """Draw the two sides of the graph and the lines between."""
    import networkx as nx  # noqa: PLC0415 - slow to import, and tables do without

    graph = check.graph
    measured = [node for node in graph if node not in check.unknowns]
    sides: tuple[Sequence[str | int], ...] = (check.unknowns, measured)
    places = {
        node: (float(x), 1.0 - (index + 0.5) / len(nodes))
        for x, nodes in enumerate(sides)
        for index, node in enumerate(nodes)
    }
    colours = ["#d1495b" if name in check.free else "#0b6bcb" for name in check.unknowns]
    nx.draw_networkx_edges(graph, places, ax=axes, edge_color="#c9c9c9", width=0.5)
    for nodes, colour, size in ((sides[0], colours, 30), (sides[1], ["#7a7a7a"], 14)):
        nx.draw_networkx_nodes(
            graph, places, nodelist=list(nodes), node_color=colour, node_size=size, ax=axes
        )
    for nodes, shift, side in ((sides[0], -0.03, "right"), (sides[1], 0.03, "left")):
        if len(nodes) > _LABELLED:
            continue
        for node in nodes:
            x, y = places[node]
            text = graph.nodes[node].get("label", node)
            font = 8 if len(nodes) <= _LABELLED / 2 else 6
            axes.text(x + shift, y, text, ha=side, va="center", fontsize=font)
