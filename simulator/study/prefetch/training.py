"""Training on items (sequences or images) in batches, with the bank between sampler and network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.mlp import Adam, Mlp, one_thread
from simulator.study.prefetch.bank import Item, MemoryBank, present_classes
from simulator.study.prefetch.losses import (
    Recipe,
    balanced_weights,
    log_frequencies,
    recipe_loss,
)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

TAIL_SHARE = 0.5
"""Share of the classes, the rarest, that count as tail (kind: assumed)."""

HEAD_SHARE = 0.25
"""Share of the classes, the most frequent, that count as head (kind: assumed)."""


class Effort(NamedTuple):
    """How long and how wide training is.

    Parameters
    ----------
    steps
        Batches.
    batch
        Items of a batch.
    hidden
        Units of the hidden layer.
    learning_rate
        Of Adam.
    """

    steps: int = 300
    batch: int = 8
    hidden: int = 64
    learning_rate: float = 3e-3


class Trained(NamedTuple):
    """A trained network, and how often its batches lacked tail classes.

    Parameters
    ----------
    mlp
        The network: features to K logits.
    missing_tail
        Share of pairs of batch and tail class where the batch had no row of it.
    """

    mlp: Mlp
    missing_tail: float


def tail_classes(counts: Ints) -> Ints:
    """Return the rarest half of the classes that have rows.

    Examples
    --------
    >>> tail_classes(np.array([9, 1, 0, 2, 5])).tolist()
    [1, 3]
    """
    present = np.flatnonzero(counts)
    order = present[np.argsort(counts[present], kind="stable")]
    return np.sort(order[: round(TAIL_SHARE * len(order))])


@one_thread
def train_on_items(
    items: Sequence[Item],
    chosen: Recipe,
    effort: Effort,
    generator: np.random.Generator,
) -> Trained:
    """Train a network to tell the classes of rows.

    Parameters
    ----------
    items
        What to train on, K labels a row.
    chosen
        Loss, bank and sampler.
    effort
        How long.
    generator
        What everything is drawn from; weights, sampler and bank have streams of their own, so that
        recipes see the same batches.
    """
    for_weights, for_sampler, for_bank = generator.spawn(3)
    has = np.stack([present_classes(item.labels) for item in items])
    counts = np.sum([_flat(item.labels).sum(axis=0) for item in items], axis=0)
    tail = tail_classes(counts)
    weights = balanced_weights(counts) if chosen.weighted else np.ones(len(counts))
    sizes = (items[0].features.shape[-1], effort.hidden, len(counts))
    mlp = Mlp.initial(sizes, for_weights)
    adam = Adam(mlp.parameters, effort.learning_rate)
    bank = None
    if chosen.bank is not None:
        bank = MemoryBank(tail, chosen.bank, for_bank)
    draw = _Sampler(has, chosen.stratified, effort.batch, for_sampler)
    lacking = 0
    for _ in range(effort.steps):
        batch = [items[one] for one in draw.batch()]
        if bank is not None:
            batch = [bank.pass_through(item) for item in batch]
        features = np.concatenate([item.features.reshape(-1, sizes[0]) for item in batch])
        labels = np.concatenate([_flat(item.labels) for item in batch])
        lacking += int((~labels[:, tail].any(axis=0)).sum())
        shown = mlp.layers(features)
        slopes = recipe_loss(shown[-1], labels, chosen, weights)[1]
        adam.step(mlp.gradients(shown, slopes)[0])
    if chosen.adjusted:
        mlp.parameters[-1] -= log_frequencies(counts)
    return Trained(mlp, lacking / (effort.steps * max(len(tail), 1)))


class _Sampler:
    """Draws items of a batch, each alike, or by class."""

    def __init__(
        self, has: Mask, stratified: bool, batch: int, generator: np.random.Generator
    ) -> None:
        self._draws, self._batch, self._items = generator, batch, len(has)
        self._of_class = [np.flatnonzero(column) for column in has.T if column.any()]
        self._stratified = stratified

    def batch(self) -> Ints:
        """Return the numbers of the next items."""
        if not self._stratified:
            return self._draws.integers(self._items, size=self._batch)
        classes = self._draws.integers(len(self._of_class), size=self._batch)
        return np.array([self._draws.choice(self._of_class[one]) for one in classes])


def _flat(labels: Mask) -> Mask:
    return labels.reshape(-1, labels.shape[-1])
