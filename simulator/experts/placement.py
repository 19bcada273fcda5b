"""Where the routed experts of a layer lie on the ranks of an expert-parallel group.

Every rank has the same number of *slots*, physical experts that each hold the weights of one
logical expert. An expert with several slots is replicated: its tokens are spread evenly over them.
All layers may be placed alike, or each layer by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EMPTY = -1
"""What a slot holds that holds no expert."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Which logical expert each physical slot of each rank holds.

    Parameters
    ----------
    experts
        Logical experts E of a layer.
    ranks
        Ranks R of the expert-parallel group.
    slots
        Expert in each slot, or `EMPTY`; int64 of shape (layers, ranks, slots of a rank). One layer
        stands for all of a model; a table of shape (ranks, slots of a rank) is taken as that.

    Raises
    ------
    ConfigError
        If an expert lies nowhere, or a rank holds one twice, or a slot names none of the experts;
        the message names layer, expert and rank.

    Examples
    --------
    Expert 0 has a replica on either rank.

    >>> placed = Placement(3, 2, np.array([[0, 1], [0, 2]]))
    >>> placed.shares[0].tolist()
    [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]
    """

    experts: int
    ranks: int
    slots: Ints

    def __post_init__(self) -> None:
        slots: Any = np.asarray(self.slots, dtype=np.int64)
        slots = slots[None] if slots.ndim == 2 else slots
        if slots.ndim != 3 or slots.shape[1] != self.ranks:
            raise ConfigError(
                f"a placement over {self.ranks} ranks needs a table of slots of shape (layers, "
                f"{self.ranks}, slots of a rank), got {slots.shape}."
            )
        object.__setattr__(self, "slots", slots)
        _check(self)

    @property
    def layers(self) -> int:
        """Layers that are placed by themselves; 1 where all are placed alike."""
        return len(self.slots)

    @cached_property
    def replicas(self) -> Ints:
        """Slots that hold each expert, shape (layers, experts)."""
        return np.stack([_counts(layer, self.experts) for layer in self.slots])

    @cached_property
    def weights(self) -> Floats:
        """Share of its expert's tokens that each slot takes, shaped like `slots`; empty ones 0."""
        held = np.maximum(self.slots, 0).reshape(self.layers, -1)
        replicas = np.take_along_axis(self.replicas, held, axis=1).reshape(self.slots.shape)
        return np.where(self.slots == EMPTY, 0.0, 1.0 / replicas)

    @cached_property
    def orders(self) -> Ints:
        """Place of each slot among those of its expert, from 0, in order of the ranks."""
        orders = np.zeros_like(self.slots)
        for layer, slots in enumerate(self.slots.reshape(self.layers, -1)):
            by_expert = np.argsort(slots, kind="stable")
            sorted_slots = slots[by_expert]
            first = np.searchsorted(sorted_slots, sorted_slots)
            orders[layer].reshape(-1)[by_expert] = np.arange(len(slots)) - first
        return orders

    @cached_property
    def shares(self) -> Floats:
        """Share of each expert's tokens that go to each rank, shape (layers, ranks, experts)."""
        shares = np.zeros((self.layers, self.ranks, self.experts + 1))
        np.put_along_axis(shares, self.slots, self.weights, axis=2)  # empty ones fall in the last
        return shares[..., :-1]


def _counts(layer: Ints, experts: int) -> Ints:
    return np.bincount(layer[layer != EMPTY], minlength=experts)


def _check(placement: Placement) -> None:
    experts, slots = placement.experts, placement.slots
    outside = slots[(slots < EMPTY) | (slots >= experts)]
    if outside.size:
        raise ConfigError(
            f"a placement names expert {outside[0]}; experts are 0 to {experts - 1}, an empty "
            f"slot is {EMPTY}."
        )
    for number, layer in enumerate(slots):
        missing = np.flatnonzero(_counts(layer, experts) == 0)
        if missing.size:
            listed = ", ".join(map(str, missing[:8])) + (", ..." if missing.size > 8 else "")
            raise ConfigError(
                f"the placement of layer {number} misses {missing.size} of {experts} experts "
                f"({listed}); put each expert on a rank."
            )
        for rank, row in enumerate(layer):
            held, times = np.unique(row[row != EMPTY], return_counts=True)
            if (times > 1).any():
                raise ConfigError(
                    f"the placement of layer {number} puts expert {held[times > 1][0]} on rank "
                    f"{rank} more than once, which spreads nothing; put its replicas on other "
                    f"ranks."
                )


def check_ranks(experts: int, ranks: int, redundant: int = 0) -> None:
    """Refuse ranks that would hold no expert.

    Raises
    ------
    ConfigError
        If there are more ranks than experts and replicas together.
    """
    if experts + redundant < ranks:
        raise ConfigError(
            f"{ranks} ranks are more than the {experts} experts of a layer"
            + (f" and {redundant} replicas" if redundant else "")
            + f": some would hold none. Use at most {experts + redundant} ranks, or "
            f"experts.placement=load_aware with experts.redundant={ranks - experts} or more."
        )


def contiguous(experts: int, ranks: int) -> Placement:
    """Place experts in blocks; the first ``E mod R`` ranks hold one more (vLLM's ``linear``).

    Examples
    --------
    >>> contiguous(5, 2).slots.tolist()
    [[[0, 1, 2], [3, 4, -1]]]
    """
    check_ranks(experts, ranks)
    few, longer = divmod(experts, ranks)
    firsts = np.arange(ranks) * few + np.minimum(np.arange(ranks), longer)
    return _rows(experts, [np.arange(first, last) for first, last in _spans(firsts, experts)])


def round_robin(experts: int, ranks: int) -> Placement:
    """Place expert e on rank ``e mod R`` (vLLM's ``round_robin``).

    Examples
    --------
    >>> round_robin(5, 2).slots.tolist()
    [[[0, 2, 4], [1, 3, -1]]]
    """
    check_ranks(experts, ranks)
    return _rows(experts, [np.arange(rank, experts, ranks) for rank in range(ranks)])


def _spans(firsts: Ints, experts: int) -> list[tuple[int, int]]:
    return list(zip(firsts.tolist(), [*firsts[1:].tolist(), experts], strict=True))


def _rows(experts: int, rows: list[Ints]) -> Placement:
    """Return a placement of one row of experts a rank, the shorter ones filled up."""
    longest = max(map(len, rows))
    filled = [np.pad(row, (0, longest - len(row)), constant_values=EMPTY) for row in rows]
    return Placement(experts, len(rows), np.stack(filled))
