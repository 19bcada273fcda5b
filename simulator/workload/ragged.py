"""Many short lists of integers as two arrays: prefix hashes of a block without a tuple each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ragged(Sequence[tuple[int, ...]]):
    """A sequence of tuples, each made when it is asked for.

    Parameters
    ----------
    values
        The numbers of all lists, one after another, int64.
    starts
        Where each list begins in ``values``, and where the last ends, int64[lists + 1].

    Examples
    --------
    >>> lists = Ragged.of([(1, 2), (), (3,)])
    >>> lists[0], len(lists), list(lists[1:])
    ((1, 2), 3, [(), (3,)])
    """

    values: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Ragged:
        """Pack lists."""
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.fromiter((v for one in lists for v in one), np.int64, int(starts[-1]))
        return cls(values, starts)

    @classmethod
    def joined(cls, parts: Iterable[Ragged]) -> Ragged:
        """Put several after one another.

        Examples
        --------
        >>> list(Ragged.joined([Ragged.of([(1, 2)]), Ragged.of([(), (3,)])]))
        [(1, 2), (), (3,)]
        """
        found = list(parts)
        lengths = [np.zeros(1, np.int64), *(part.lengths for part in found)]
        values = [part.values[part.starts[0] : part.starts[-1]] for part in found]
        return cls(np.concatenate(values), np.cumsum(np.concatenate(lengths)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Numbers in each list."""
        return np.diff(self.starts)

    def cut(self, most: NDArray[np.int64]) -> Ragged:
        """Keep at most so many numbers of each list, int64[lists]."""
        lengths = np.minimum(self.lengths, most)
        return self._gather(self.starts[:-1], lengths)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Return the lists at these positions, in their order.

        Examples
        --------
        >>> list(Ragged.of([(1, 2), (), (3,)]).take(np.array([2, 0, 0])))
        [(3,), (1, 2), (1, 2)]
        """
        return self._gather(self.starts[:-1][rows], self.lengths[rows])

    def _gather(self, firsts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        index = np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], lengths)
        return Ragged(self.values[index], starts)

    def __len__(self) -> int:
        """How many lists."""
        return self.starts.size - 1

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Ragged: ...
    def __getitem__(self, index: int | slice) -> tuple[int, ...] | Ragged:
        """Return one list, or some that follow each other."""
        if isinstance(index, slice):
            first, end, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(first, end, step))
            return Ragged(self.values, self.starts[first : max(first, end) + 1])
        row = range(len(self))[index]
        return tuple(self.values[self.starts[row] : self.starts[row + 1]].tolist())

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Yield the lists."""
        values = self.values[self.starts[0] : self.starts[-1]].tolist()
        edges = (self.starts - self.starts[0]).tolist()
        for first, end in pairwise(edges):
            yield tuple(values[first:end])
