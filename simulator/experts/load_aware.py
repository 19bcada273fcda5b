"""Placement by load: replicas of hot experts, packed so that the ranks come out even.

The idea is that of DeepSeek's expert-parallel load balancer (EPLB,
https://github.com/deepseek-ai/EPLB): groups of experts are packed onto nodes, so that
group-limited routing stays within few nodes; inside a node the experts with most load per replica
get one more, and replicas are packed onto ranks. The greedy packing here is our own: heaviest
first, onto the rank with least load that has a slot free.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.placement import EMPTY, Placement, check_ranks

Floats = NDArray[np.float64]


def load_aware(
    loads: Floats, ranks: int, redundant: int = 0, groups: int = 1, nodes: int = 1
) -> Placement:
    """Place each layer's experts by their loads.

    Parameters
    ----------
    loads
        Token copies of each expert, in any unit, shape (layers, experts); one row of shape
        (experts,) places all layers alike.
    ranks
        Ranks R of the expert-parallel group.
    redundant
        Replicas beside one slot for each expert (vLLM's ``num_redundant_experts``).
    groups
        Groups of consecutive experts that routing keeps together (``Moe.n_group``).
    nodes
        Nodes that the ranks lie on, in equal blocks. Groups are packed onto nodes if the nodes
        divide them and the replicas find ranks within; else experts go to ranks of any node.

    Raises
    ------
    ConfigError
        If some ranks would hold nothing, an expert would need a rank twice, or nodes do not divide
        the ranks.

    Examples
    --------
    Half of all tokens go to expert 0. Its two replicas halve that.

    >>> placed = load_aware(np.array([4.0, 1, 1, 1, 1]), ranks=2, redundant=1)
    >>> placed.slots[0].tolist()
    [[0, 1, 3], [0, 2, 4]]
    """
    table = np.atleast_2d(np.asarray(loads, float))
    experts = table.shape[1]
    check_ranks(experts, ranks, redundant)
    check_replicas(experts, ranks, redundant)
    if ranks % nodes:
        raise ConfigError(f"{nodes} nodes do not divide {ranks} ranks; use equal nodes.")
    of_use = experts // nodes * (ranks // nodes - 1)
    apart = groups % nodes == experts % groups == 0 and experts // nodes >= ranks // nodes
    if not apart or -(-redundant // nodes) > of_use:
        groups = nodes = 1
    return Placement(
        experts, ranks, np.stack([_layer(row, ranks, redundant, groups, nodes) for row in table])
    )


def check_replicas(experts: int, ranks: int, redundant: int) -> None:
    """Refuse replicas that find no rank without their expert.

    Raises
    ------
    ConfigError
        If there are more than one for every expert and further rank.
    """
    if redundant > experts * (ranks - 1):
        raise ConfigError(
            f"experts.redundant={redundant} replicas of {experts} experts do not fit {ranks} ranks,"
            f" each of which holds an expert once: at most {experts * (ranks - 1)} are of use."
        )


def _layer(loads: Floats, ranks: int, redundant: int, groups: int, nodes: int) -> NDArray[np.int64]:
    """Return the slots of one layer, shape (ranks, slots)."""
    size = len(loads) // groups
    by_group = loads.reshape(groups, size).sum(axis=1)
    packed = _pack([(load, group) for group, load in enumerate(by_group)], nodes, groups // nodes)
    share, more = divmod(redundant, nodes)
    rows: list[list[int]] = []
    for node, held in enumerate(packed):
        experts = np.concatenate([np.arange(size) + size * group for group in sorted(held)])
        copies = _replicate(loads[experts], share + (node < more), ranks // nodes)
        weighted = [
            (loads[expert] / times, int(expert))
            for expert, times in zip(experts, copies, strict=True)
            for _ in range(times)
        ]
        slots = -(-len(weighted) // (ranks // nodes))
        rows += [sorted(row) for row in _pack(weighted, ranks // nodes, slots)]
    longest = max(map(len, rows))
    return np.array([row + [EMPTY] * (longest - len(row)) for row in rows])


def _replicate(loads: Floats, redundant: int, most: int) -> list[int]:
    """Return the slots of each expert: one, and one more for the most loaded slot, repeatedly."""
    copies = [1] * len(loads)
    waiting = [(-load, expert) for expert, load in enumerate(loads) if most > 1]
    heapq.heapify(waiting)
    for _ in range(redundant):
        _, expert = heapq.heappop(waiting)
        copies[expert] += 1
        if copies[expert] < most:
            heapq.heappush(waiting, (-loads[expert] / copies[expert], expert))
    return copies


def _pack(items: Sequence[tuple[float, int]], bins: int, room: int) -> list[list[int]]:
    """Pack ``(load, name)`` into bins, heaviest first into the lightest; no name twice in a bin."""
    held: list[dict[int, float]] = [{} for _ in range(bins)]
    for load, name in sorted(items, key=lambda item: (-item[0], item[1])):
        free = [bin_ for bin_ in held if len(bin_) < room]
        fitting = [bin_ for bin_ in free if name not in bin_]
        if not fitting:
            fitting = [_make_room(held, free[0], name, load)]
        min(fitting, key=_filled)[name] = load
    return [list(bin_) for bin_ in held]


def _filled(bin_: dict[int, float]) -> float:
    return sum(bin_.values())


def _make_room(
    held: Sequence[dict[int, float]], free: dict[int, float], name: int, load: float
) -> dict[int, float]:
    """Move something into the one bin with room, which holds `name`, and return where it was.

    There is something: a bin without `name` is full, so it holds more names than `free` does.
    """
    gap, moved, source = min(
        (abs(other - load), item, place)
        for place, bin_ in enumerate(held)
        if name not in bin_
        for item, other in bin_.items()
        if item not in free
    )
    del gap
    free[moved] = held[source].pop(moved)
    return held[source]
