"""The memory bank of tail classes: what a batch lacks of them is pasted into it.

As AUCSeg has it (arXiv 2409.20398): the bank keeps up to S_M items of each tail class. Every
arriving item (a sequence, an image) is stored under the tail classes that it has, in place of a
random one where the bank is full. Of the tail classes that it lacks, a share R_S is drawn, and the
rows of one stored item of each are pasted at a random place, resized by R_R. As in the authors'
code this goes by item, not by batch, and what is pasted covers what was there, of the tail too.

A row is a token or a pixel, with its features and its labels. Pasting brings both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Item(NamedTuple):
    """A sequence or an image: what rows look like, and what they are.

    Parameters
    ----------
    features
        Shape (tokens, d), or (height, width, d).
    labels
        Classes of each row, bool of shape (tokens, K), or (height, width, K).
    """

    features: Floats
    labels: Mask


@dataclass(frozen=True, slots=True)
class BankSettings:
    """How much the bank keeps, and how much it pastes.

    Parameters
    ----------
    per_class
        S_M, items kept of each tail class (5 in all experiments of its authors).
    retrieved
        R_S, share of the tail classes that an item lacks which are pasted.
    resized
        R_R, size of what is pasted, over what was stored.
    """

    per_class: int = 5
    retrieved: float = 0.05
    resized: float = 1.0

    def __post_init__(self) -> None:
        if self.per_class < 1:
            raise ConfigError(f"bank_per_class={self.per_class} must be 1 or more.")
        for name in ("retrieved", "resized"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ConfigError(f"bank_{name}={value} must lie in (0, 1].")


class MemoryBank:
    """Stores, retrieves and pastes rows of tail classes.

    Parameters
    ----------
    tail
        The tail classes.
    settings
        Sizes.
    generator
        What it draws from.
    """

    def __init__(self, tail: Ints, settings: BankSettings, generator: np.random.Generator) -> None:
        self._tail, self._settings, self._draws = tail, settings, generator
        self._kept: dict[int, list[Item]] = {int(one): [] for one in tail}

    @property
    def items(self) -> int:
        """How many items it holds."""
        return sum(map(len, self._kept.values()))

    @property
    def held_bytes(self) -> int:
        """Memory of what it holds, bytes; an item that is kept for several classes counts once."""
        kept = {id(item): item for items in self._kept.values() for item in items}
        return sum(item.features.nbytes + item.labels.nbytes for item in kept.values())

    def pass_through(self, item: Item) -> Item:
        """Store what an item has of the tail, and return it with what it lacks pasted in."""
        present = present_classes(item.labels)
        for one in self._tail[present[self._tail]]:
            self._store(int(one), item)
        return self._fill(item, self._tail[~present[self._tail]])

    def _store(self, one: int, item: Item) -> None:
        # Few of what is stored is ever pasted: it is cut to its class then.
        kept = self._kept[one]
        if len(kept) < self._settings.per_class:
            kept.append(item)
        else:
            kept[int(self._draws.integers(len(kept)))] = item

    def _fill(self, item: Item, missing: Ints) -> Item:
        known = [int(one) for one in missing if self._kept[int(one)]]
        count = self._draws.binomial(len(known), self._settings.retrieved)
        if not count:
            return item
        features, labels = item.features.copy(), item.labels.copy()
        for one in self._draws.choice(known, size=count, replace=False):
            kept = self._kept[int(one)]
            stored = _cut(kept[int(self._draws.integers(len(kept)))], int(one))
            stored = _resized(stored, self._settings.resized, int(one))
            self._paste(stored, int(one), features, labels)
        return Item(features, labels)

    def _paste(self, stored: Item, one: int, features: Floats, labels: Mask) -> None:
        """Lay the rows of a class over an item, at a random place; a part of what is larger."""
        stored = self._part(stored, one, labels.shape[:-1])
        corner = [
            int(self._draws.integers(room - size + 1))
            for room, size in zip(labels.shape[:-1], stored.labels.shape[:-1], strict=True)
        ]
        place = tuple(
            slice(start, start + size)
            for start, size in zip(corner, stored.labels.shape[:-1], strict=True)
        )
        rows = stored.labels[..., one]
        features[place][rows] = stored.features[rows]
        labels[place][rows] = stored.labels[rows]

    def _part(self, stored: Item, one: int, room: tuple[int, ...]) -> Item:
        """Return what fits into an item: a box, drawn so that it has a row of the class."""
        sizes = stored.labels.shape[:-1]
        if all(size <= most for size, most in zip(sizes, room, strict=True)):
            return stored
        rows = np.argwhere(stored.labels[..., one])
        row = rows[int(self._draws.integers(len(rows)))]
        box = []
        for at, size, most in zip(row.tolist(), sizes, room, strict=True):
            wide = min(size, most)
            first = int(self._draws.integers(max(at - wide + 1, 0), min(at, size - wide) + 1))
            box.append(slice(first, first + wide))
        return Item(stored.features[tuple(box)], stored.labels[tuple(box)])


def present_classes(labels: Mask) -> Mask:
    """Return which classes an item has, bool of shape (K,)."""
    present: Mask = labels.reshape(-1, labels.shape[-1]).max(axis=0)
    return present


def _cut(item: Item, one: int) -> Item:
    """Return the smallest box that holds all rows of a class, as a view of the item."""
    rows = np.nonzero(item.labels[..., one])
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in rows)
    return Item(item.features[box], item.labels[box])


def _resized(item: Item, scale: float, one: int) -> Item:
    """Return an item with every axis shortened to a share of itself, nearest rows kept.

    Where no row of the class would be left, the item stays as it is.
    """
    shape = item.labels.shape[:-1]
    sizes = [max(round(scale * size), 1) for size in shape]
    if sizes == list(shape):
        return item
    picks = np.ix_(
        *((np.arange(to) + 0.5) * size // to for size, to in zip(shape, sizes, strict=True))
    )
    picks = tuple(axis.astype(np.int64) for axis in picks)
    if not item.labels[picks][..., one].any():
        return item
    return Item(item.features[picks], item.labels[picks])
