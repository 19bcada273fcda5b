"""Placing experts anew while a run goes on, and what moving their weights takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.experts.load_aware import load_aware
from simulator.experts.placement import EMPTY, Placement
from simulator.hardware.collectives import Sent, Steps, alone_s
from simulator.hardware.topology import Topology

Ints = NDArray[np.int64]


def moves(old: Placement, new: Placement, layers: int, island_ranks: int = 1) -> Ints:
    """Count the experts that ranks must fetch from each other to go over to a new placement.

    Parameters
    ----------
    old, new
        The placements, of the same experts and ranks.
    layers
        MoE layers of the model; a placement of one layer stands for all of them.
    island_ranks
        Ranks in a row that are close to each other. An expert comes from the same island if it is
        held there, else from anywhere; of several, from who has sent least so far.

    Returns
    -------
    ndarray of int, shape (ranks, ranks)
        Experts by sending and receiving rank, summed over layers. What a rank holds already, it
        keeps.

    Examples
    --------
    >>> from simulator.experts.placement import contiguous, round_robin
    >>> moves(contiguous(4, 2), round_robin(4, 2), layers=10).tolist()
    [[0, 10], [10, 0]]
    """
    sent = np.zeros((old.ranks, old.ranks), np.int64)
    alike = old.layers == new.layers == 1
    for layer in range(1 if alike else layers):
        before, after = (one.slots[layer if one.layers > 1 else 0] for one in (old, new))
        holders: dict[int, list[int]] = {}
        for rank, row in enumerate(before.tolist()):
            for expert in row:
                holders.setdefault(expert, []).append(rank)
        for rank, row in enumerate(after.tolist()):
            for expert in set(row) - {EMPTY} - set(before[rank].tolist()):
                island = rank // island_ranks
                near = [one for one in holders[expert] if one // island_ranks == island]
                sender = min(near or holders[expert], key=lambda one: sent[one].sum())
                sent[sender, rank] += 1
    return sent * (layers if alike else 1)


def moving_s(moved: Ints, expert_bytes: float, topology: Topology, gpus_per_rank: int = 1) -> float:
    """Return how long moving takes when nothing else is on the links, s.

    Parameters
    ----------
    moved
        Experts by sending and receiving rank (`moves`).
    expert_bytes
        Weights of one expert.
    topology
        Links of the GPUs; ranks lie on them in a row.
    gpus_per_rank
        GPUs that each expert is split over: each sends its part to its like.

    Notes
    -----
    All transfers start together and share links; the fullest channel rules
    (`hardware.collectives.alone_s`).

    Examples
    --------
    >>> from simulator.hardware.topology import load_topology
    >>> node = load_topology("nvswitch_h100")  # 450 GB/s a GPU and direction
    >>> round(moving_s(np.array([[0, 10], [10, 0]]), 4.5e9, node), 3)
    0.1
    """
    part = expert_bytes / gpus_per_rank
    sent = [
        Sent(one * gpus_per_rank + gpu, other * gpus_per_rank + gpu, float(count * part))
        for (one, other), count in np.ndenumerate(moved)
        if count
        for gpu in range(gpus_per_rank)
    ]
    return alone_s(topology, [Steps(1, sent)]) if sent else 0.0


class Rebalancing:
    """Places experts by the loads seen so far, once a period.

    Parameters
    ----------
    placement
        Where they lie at first.
    period_s
        Busy time of the replica between two placements, s.
    redundant, groups, nodes
        As in `load_aware`.
    moving_s
        From an old and a new placement to the time that moving takes, in which no step runs, s.
    """

    def __init__(
        self,
        placement: Placement,
        period_s: float,
        *,
        redundant: int,
        groups: int,
        nodes: int,
        moving_s: Callable[[Placement, Placement], float],
    ) -> None:
        self.placement = placement
        self.times = 0
        """How often experts were placed anew."""
        self.moved_s = 0.0
        """What moving took in all, s."""
        self._period_s, self._moving_s = period_s, moving_s
        self._redundant, self._groups, self._nodes = redundant, groups, nodes
        self._seen: Ints | None = None
        self._passed_s = 0.0

    def see(self, expert_tokens: Ints) -> None:
        """Count the token copies of a step by expert, shape (layers, experts)."""
        self._seen = expert_tokens if self._seen is None else self._seen + expert_tokens

    def passed(self, seconds: float) -> float:
        """Let busy time pass; return what moving takes if experts are placed anew now, else 0, s.

        Loads are those since the last placement.
        """
        self._passed_s += seconds
        if self._passed_s < self._period_s or self._seen is None:
            return 0.0
        old, loads = self.placement, self._seen.astype(float)
        self.placement = load_aware(
            loads, old.ranks, self._redundant, groups=self._groups, nodes=self._nodes
        )
        moved_s = self._moving_s(old, self.placement)
        self._passed_s, self._seen = 0.0, None
        self.times += 1
        self.moved_s += moved_s
        return moved_s
