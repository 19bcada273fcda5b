"""The resident set of every MoE layer, followed step by step.

A layer keeps C of its E experts on the GPU; the others lie in host memory. A step names the experts
that its tokens chose. Those that are there are used at once, every other one is brought first, once
per step. All layers are followed together, as arrays: no loop over experts or layers.

- ``pinned``: the resident set is given and stays. What is brought passes through a buffer.
- ``lru``: what is brought takes the place of the expert whose last use lies furthest back. Uses
  have the order in which the tokens name their experts.

A prefetcher (`experts.prefetch`) may have experts brought beforehand, into slots of their own that
last for one step. In a step for which it asks for none, ``lru`` keeps the last used in these slots
too: then the store is one on demand, of all its room.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.config import PINNED
from simulator.experts.prefetch import Floats, Prefetcher

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Chosen = NDArray[np.integer]

_UNSEEN = np.empty((0, 0))
"""What a drafter saw where there is none."""

_OUT = np.iinfo(np.int64).min
"""When an expert was last used that may not stay: before all others."""


class Transfers(NamedTuple):
    """Experts that cross the host link in a step, by layer; int arrays of shape (layers,).

    Parameters
    ----------
    missing
        Brought on demand: the layer waits for them.
    prefetched
        Brought before the layer runs, needed or not.
    distinct
        Distinct experts that the step uses.
    """

    missing: Ints
    prefetched: Ints
    distinct: Ints


class ExpertStore:
    """The experts of all layers that one GPU holds (or a group that splits every expert).

    Parameters
    ----------
    resident
        Whether each expert is resident at first, bool of shape (layers, E), C in every layer.
    policy
        One of `config.OFFLOAD_POLICIES`.
    prefetcher
        Ranks experts before every step; None brings none.
    prefetch_slots
        Experts that a layer has prefetched at most.

    Examples
    --------
    >>> store = ExpertStore(most_used(np.array([[4, 3, 2, 1]]), resident=2), "lru")
    >>> [int(store.step(np.array([used])).missing[0]) for used in ([0, 2], [2, 0], [1, 3])]
    [1, 0, 2]
    """

    def __init__(
        self,
        resident: Mask,
        policy: str,
        *,
        prefetcher: Prefetcher | None = None,
        prefetch_slots: int = 0,
    ) -> None:
        layers, self._experts = resident.shape
        self._resident = resident.copy()
        self._capacity = int(resident[0].sum())
        self._pinned = policy == PINNED
        self._prefetcher, self._slots = prefetcher, prefetch_slots
        self._rows = np.arange(layers)[:, None]
        self._uses = 0
        # No two experts are used at once, not even before the first step.
        self._last_use = np.broadcast_to(-np.arange(self._experts), resident.shape).copy()
        self._before: Chosen = np.empty((layers, 0), dtype=np.int64)
        self._room = self._capacity

    @property
    def resident(self) -> Mask:
        """Whether each expert is on the GPU to stay, shape (layers, E); a copy."""
        return self._resident.copy()

    def step(self, chosen: Chosen, drafts: Floats = _UNSEEN) -> Transfers:
        """Run a step: find what is missing, bring it, and note what was used.

        Parameters
        ----------
        chosen
            Experts chosen, shape (layers, copies): K for each token of the step, in their order.
        drafts
            What a drafter saw of the tokens to be verified (`Prefetcher.scores`).
        """
        there = self._resident
        prefetched = np.zeros(len(there), dtype=np.int64)
        if self._prefetcher is not None:
            brought = self._prefetch(self._prefetcher.scores(self._before, drafts))
            prefetched = brought.sum(axis=1)
            there = self._resident | brought
        self._before = chosen
        needed = np.zeros_like(self._resident)
        needed[self._rows, chosen] = True
        missing = (needed & ~there).sum(axis=1)
        if not self._pinned:
            self._note(chosen, needed)
        return Transfers(missing, prefetched, needed.sum(axis=1))

    def _note(self, chosen: Chosen, needed: Mask) -> None:
        """Make the experts used last the resident ones."""
        copies = chosen.shape[1]
        # Where an expert is named more than once, the last assignment stays.
        self._last_use[self._rows, chosen] = np.arange(1, copies + 1) + self._uses
        self._uses += copies
        self._keep(self._resident | needed)

    def _keep(self, candidates: Mask) -> None:
        """Make resident what was used last of some experts, as many as there is room for."""
        # What was neither there nor brought does not come in, however recent its last use.
        recency = np.where(candidates, self._last_use, _OUT)
        last = np.argpartition(recency, self._experts - self._room, axis=1)
        self._resident[:] = False
        self._resident[self._rows, last[:, self._experts - self._room :]] = True
        self._resident &= candidates

    def _prefetch(self, scores: Floats) -> Mask:
        """Return the missing experts of the highest scores above zero, one mask per layer."""
        wanted = np.where(self._resident, 0.0, scores)
        if not self._pinned:
            asked = bool((wanted > 0.0).any())
            self._room = self._capacity + (0 if asked else self._slots)
            if asked:
                self._keep(self._resident)
        scores = np.where(self._resident, 0.0, scores)
        brought = np.zeros_like(self._resident)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self._slots]
        brought[self._rows, best] = True
        return brought & (scores > 0.0)


def most_used(copies: Ints, resident: int) -> Mask:
    """Return a resident set of the experts with most token copies: what a profile of traffic pins.

    Parameters
    ----------
    copies
        Token copies by expert, shape (layers, E) (`experts.sampling.copies_by_expert`).
    resident
        Experts C that every layer keeps.

    Examples
    --------
    >>> most_used(np.array([[5, 1, 7]]), resident=2).tolist()
    [[True, False, True]]
    """
    pinned = np.zeros(copies.shape, dtype=np.bool_)
    best = np.argsort(-copies, axis=1, kind="stable")[:, :resident]
    np.put_along_axis(pinned, best, True, axis=1)
    return pinned
