"""Which combinations of continuous unknowns a plan leaves free, to first order.

Measurements ``y = f(theta)`` determine theta near a point if the Jacobian J has full column rank.
Every direction of its null space changes the unknowns and no measurement. Derivatives are taken to
the logarithms of the unknowns, ``J_ij = theta_j dy_i / dtheta_j``, so units drop out and a null
direction reads as relative changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ZERO = 1e-7
"""Singular values below this share of the largest count as zero: rounding in exact derivatives lies
well below (1e-12), what real clocks could resolve well above."""

_SMALL_COMBINATION, _MOST_TRIED = 4, 20_000
"""Null directions of up to so many unknowns are looked for one by one, and in so many trials."""


@dataclass(frozen=True, slots=True)
class NullDirection:
    """Relative changes of unknowns that no measurement of the plan notices, to first order.

    Parameters
    ----------
    words
        What it is, for people.
    changes
        Relative change by unknown, the largest of magnitude 1; unknowns that stay are left out.
    """

    words: str
    changes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Identifiability:
    """What a Jacobian determines.

    Parameters
    ----------
    unknowns
        Names of the columns.
    rank
        Number of combinations of unknowns that the measurements determine.
    singular_values
        Of the Jacobian with rows weighted, largest first, one per unknown.
    free
        Unknowns that some null direction changes: their values cannot be known.
    null_directions
        A basis of the null space, simple directions first.
    """

    unknowns: tuple[str, ...]
    rank: int
    singular_values: Array
    free: tuple[str, ...]
    null_directions: tuple[NullDirection, ...]

    @property
    def determined(self) -> bool:
        """Whether nothing is free."""
        return self.rank == len(self.unknowns)


def identifiability(
    jacobian: Array,
    unknowns: Sequence[str],
    known_directions: Mapping[str, Array] | None = None,
) -> Identifiability:
    """Say what a Jacobian determines, and name what it leaves free.

    Parameters
    ----------
    jacobian
        Derivatives by the logarithms of the unknowns, that is columns times the unknowns' values;
        rows in units of their tolerance. Shape (m, n).
    unknowns
        Names of the columns.
    known_directions
        Relative changes, shape (n,), that have a name: tried first ("all times scale together").

    Examples
    --------
    >>> found = identifiability(np.array([[1.0, 1.0, 0.0]]), ["a", "b", "c"])
    >>> found.rank, found.free, [direction.words for direction in found.null_directions]
    (1, ('a', 'b', 'c'), ['c alone: no measurement feels it', 'a against b'])
    """
    count = len(unknowns)
    _, values, right = np.linalg.svd(np.vstack([jacobian, np.zeros((count, count))]))
    rank = int(np.sum(values > ZERO * values[0])) if values[0] > 0 else 0
    null = right[rank:].T
    free = tuple(
        name for name, row in zip(unknowns, null, strict=True) if np.linalg.norm(row) > _VISIBLE
    )
    directions = tuple(_directions(null, unknowns, known_directions or {}))
    return Identifiability(tuple(unknowns), rank, values[:count], free, directions)


_VISIBLE = 1e-4
"""Relative changes below this share of the largest are rounding."""


def _directions(
    null: Array, unknowns: Sequence[str], known: Mapping[str, Array]
) -> Iterator[NullDirection]:
    """Yield a basis of the null space: named directions, then those of few unknowns, the rest."""
    taken = np.empty((len(unknowns), 0))
    candidates: list[tuple[str, Array]] = [*known.items()]
    candidates += [("", vector) for vector in _sparse(null)]
    candidates += [("", vector) for vector in null.T]
    for words, vector in candidates:
        if taken.shape[1] == null.shape[1]:
            return
        unit = vector / np.linalg.norm(vector)
        outside = np.linalg.norm(unit - null @ (null.T @ unit))
        new = unit - taken @ (taken.T @ unit)
        if outside > _VISIBLE or np.linalg.norm(new) < _VISIBLE:
            continue
        taken = np.column_stack([taken, new / np.linalg.norm(new)])
        yield _direction(words, unit, unknowns)


def _sparse(null: Array) -> Iterator[Array]:
    """Yield null vectors of few unknowns, fewest first.

    A null vector with zeros outside a set of unknowns is ``null @ c`` with ``c`` in the null space
    of the other rows.
    """
    count, freedom = null.shape
    sets = (
        chosen
        for size in range(1, _SMALL_COMBINATION + 1)
        for chosen in combinations(range(count), size)
    )
    for chosen in islice(sets, _MOST_TRIED if freedom else 0):
        others = np.delete(null, chosen, axis=0)
        square = np.vstack([others, np.zeros((freedom, freedom))])
        _, values, right = np.linalg.svd(square, full_matrices=False)
        if values[-1] < _VISIBLE:
            yield null @ right[-1]


def _direction(words: str, vector: Array, unknowns: Sequence[str]) -> NullDirection:
    vector = vector / vector[np.argmax(np.abs(vector))]
    changes = {
        name: float(change)
        for name, change in zip(unknowns, vector, strict=True)
        if abs(change) > _VISIBLE
    }
    return NullDirection(words or _words(changes), changes)


def _words(changes: Mapping[str, float]) -> str:
    """Name a direction by what goes up and what goes down.

    Examples
    --------
    >>> _words({"k2": 1.0, "bias": -0.3}), _words({"s": 1.0, "lambda": 0.1})
    ('k2 against bias', 's and lambda together')
    """
    up = [name for name, change in changes.items() if change > 0]
    down = [name for name, change in changes.items() if change < 0]
    if len(changes) == 1:
        return f"{(up + down)[0]} alone: no measurement feels it"
    if not (up and down):
        return f"{' and '.join(up + down)} together"
    return f"{' and '.join(up)} against {' and '.join(down)}"
