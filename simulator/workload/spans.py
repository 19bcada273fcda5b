"""Hashes of texts, computed when they are asked for: a long session has thousands a turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from simulator.workload.traits_config import MAX_COUNT

HASH_TOKENS = 16
"""Tokens that a hash of a drawn prefix stands for: vLLM's block, so that none of it is lost."""

STRIDE = 1 << 21
"""Hashes set aside for one text: no prompt and output have more (`requests.MAX_TOKENS`)."""

OWN_TEXTS = MAX_COUNT
"""Texts below this number are shared prefixes, those from it on belong to one conversation."""

PART_STRIDE = 1 << 52
"""Hashes set aside for one part of a merged workload."""


class Spans(Sequence[tuple[int, ...]]):
    """Prefixes that are the beginning of a shared text, followed by a part of an own one.

    Parameters
    ----------
    columns
        Of each request the first hash of the shared text and how many there are, and the same of
        its own text, int64[n, 4].

    Examples
    --------
    >>> spans = Spans(np.array([[100, 2, 502, 1], [100, 1, 0, 0]]))
    >>> list(spans)
    [(100, 101, 502), (100,)]
    >>> list(spans[1:].moved(1000))
    [(1100,)]
    """

    def __init__(self, columns: NDArray[np.int64]) -> None:
        self.columns = columns

    @classmethod
    def none(cls, count: int) -> Spans:
        """Return the prefixes of requests that share nothing."""
        return cls(np.zeros((count, 4), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Spans: ...
    def __getitem__(self, index: int | slice) -> tuple[int, ...] | Spans:
        if isinstance(index, slice):
            return Spans(self.columns[index])
        shared, count, own, own_count = self.columns[index].tolist()
        return (*range(shared, shared + count), *range(own, own + own_count))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return (self[index] for index in range(len(self)))

    def moved(self, offset: int) -> Spans:
        """Return the prefixes with hashes of their own range, so that none equals another's."""
        return Spans(self.columns + np.array([offset, 0, offset, 0]))
