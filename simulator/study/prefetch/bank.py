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
        for one in self._draws.choice(known, size=count, replace=False).tolist():
            kept = self._kept[one]
            self._paste(kept[int(self._draws.integers(len(kept)))], one, features, labels)
        return Item(features, labels)

    def _paste(self, stored: Item, one: int, features: Floats, labels: Mask) -> None:
        """Lay the rows of a class, as they lie to each other, over an item at a random place."""
        rows = np.nonzero(stored.labels[..., one])
        # Rows that resizing brings to one place: the last of them stays.
        places = [((axis - axis.min()) * self._settings.resized).astype(np.int64) for axis in rows]
        room = labels.shape[:-1]
        if any(axis.max() >= most for axis, most in zip(places, room, strict=True)):
            inside, places = self._window(places, room)
            rows = tuple(axis[inside] for axis in rows)
        target = tuple(
            axis + int(self._draws.integers(most - int(axis.max())))
            for axis, most in zip(places, room, strict=True)
        )
        features[target] = stored.features[rows]
        labels[target] = stored.labels[rows]

    def _window(self, places: list[Ints], room: tuple[int, ...]) -> tuple[Mask, list[Ints]]:
        """Return which rows lie in a window of an item's size around one of them, and where."""
        at = int(self._draws.integers(len(places[0])))
        inside, moved = np.ones(len(places[0]), dtype=np.bool_), []
        for axis, most in zip(places, room, strict=True):
            low = max(int(axis[at]) - most + 1, 0)
            high = max(min(int(axis[at]), int(axis.max()) - most + 1), low)
            moved.append(axis - int(self._draws.integers(low, high + 1)))
            inside &= (moved[-1] >= 0) & (moved[-1] < most)
        return inside, [axis[inside] for axis in moved]


def present_classes(labels: Mask) -> Mask:
    """Return which classes an item has, bool of shape (K,)."""
    present: Mask = labels.reshape(-1, labels.shape[-1]).max(axis=0)
    return present
