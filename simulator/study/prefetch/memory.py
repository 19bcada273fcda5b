"""What the trainer holds in memory: the pairwise sum, the linear form, and the bank beside it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from simulator.streams import Streams
from simulator.study.prefetch.auc import auc_square_loss, pairwise_auc_loss
from simulator.study.prefetch.bank import BankSettings, Item, MemoryBank
from simulator.study.prefetch.training import tail_classes

ROWS = (256, 512, 1024, 2048, 4096)
"""Rows of a batch at which memory is measured."""

CLASSES = 8
"""Classes, the most frequent with a third of the rows."""

_SEQUENCE = 32
_FEATURES = 16


class Peaks(NamedTuple):
    """Peak memory of one evaluation of the loss, bytes.

    Parameters
    ----------
    rows
        Of the batch.
    naive_bytes, linear_bytes
        `pairwise_auc_loss` and `auc_square_loss` (with its slopes).
    banked_bytes
        The linear form on a batch of an eighth of the rows, and the bank that fills it.
    """

    rows: int
    naive_bytes: int
    linear_bytes: int
    banked_bytes: int


def measure_memory(sizes: Sequence[int] = ROWS) -> list[Peaks]:
    """Measure peaks by the rows of a batch."""
    return [_peaks(rows) for rows in sizes]


def _peaks(rows: int) -> Peaks:
    draws = Streams(0).block("memory", rows)
    shares = 1.0 / np.arange(1, CLASSES + 1)
    labels = draws.choice(CLASSES, size=rows, p=shares / shares.sum())
    members = np.eye(CLASSES, dtype=np.bool_)[labels]
    scores, features = draws.random((rows, CLASSES)), draws.random((rows, _FEATURES))
    few = max(rows // 8, _SEQUENCE)

    tail = tail_classes(members.sum(axis=0))
    bank = MemoryBank(tail, BankSettings(retrieved=1.0), Streams(0).block("bank", 0))

    def banked() -> None:
        cuts = range(0, few, _SEQUENCE)
        items = [Item(features[at : at + _SEQUENCE], members[at : at + _SEQUENCE]) for at in cuts]
        filled = np.concatenate([bank.pass_through(item).labels for item in items])
        auc_square_loss(scores[: len(filled)], filled)

    return Peaks(
        rows,
        _peak(lambda: pairwise_auc_loss(scores, members)),
        _peak(lambda: auc_square_loss(scores, members)),
        # What the bank keeps was there before: it lies in memory beyond the peak of the work.
        _peak(banked) + bank.held_bytes,
    )


def _peak(work: Callable[[], object]) -> int:
    """Return the most bytes that a piece of work held at once, what it keeps for later aside."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
