"""The area under the ROC curve of every class against every other, as a loss that can be trained.

For scores ``f^c`` of class c, and rows ``N_c`` that belong to it, the square surrogate is

``L = sum over ordered pairs c != c' of mean over m in N_c, n in N_c' of (1 - (f_m^c - f_n^c))^2``

(AUCSeg, arXiv 2409.20398, equation of its one-vs-one loss). Each mean over pairs follows from means
and second moments of both classes, ``1 - 2a + a2 + 2b + b2 - 2ab``, and the sum over c' needs but
one weight a row. So the loss and its slopes take time and memory in O(N K) for N rows and K
classes, not O(N^2 K). Classes without rows take no part.

A row may belong to several classes (a token picks K experts). One that belongs to both c and c' is
no negative of c: such pairs are left out of the sum, ``1 / (|N_c| |N_c'|)`` in front of it stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def auc_square_loss(scores: Floats, members: Mask) -> tuple[float, Floats]:
    """Return the loss and its slopes by the scores.

    Parameters
    ----------
    scores
        ``f``, shape (N, K).
    members
        Whether each row belongs to each class, the same shape.

    Returns
    -------
    float, ndarray
        The sum over ordered pairs of classes that have rows; slopes have the shape of the scores.

    Examples
    --------
    >>> loss, slopes = auc_square_loss(np.array([[1.0, 0.0], [0.0, 0.5]]), np.eye(2, dtype=bool))
    >>> loss, slopes.tolist()
    (0.25, [[0.0, 1.0], [0.0, -1.0]])
    """
    counts = members.sum(axis=0)
    own = members / np.maximum(counts, 1)
    # Weight of a row against each class that it does not belong to.
    others = np.where(members, 0.0, own.sum(axis=-1, keepdims=True))
    mean, square = (own * scores).sum(axis=0), (own * scores**2).sum(axis=0)
    rest, rest_square = (others * scores).sum(axis=0), (others * scores**2).sum(axis=0)
    present = counts > 0
    rivals = others.sum(axis=0)
    losses = rivals * (1.0 - 2.0 * mean + square) + 2.0 * rest + rest_square - 2.0 * mean * rest
    slopes = own * (rivals * (2.0 * scores - 2.0) - 2.0 * rest)
    slopes += others * (2.0 + 2.0 * scores - 2.0 * mean)
    slopes *= present
    return float((losses * present).sum()), slopes


def ordered_pairs(members: Mask) -> int:
    """Return how many ordered pairs of classes have rows.

    Examples
    --------
    >>> ordered_pairs(np.array([[True, False, False], [False, False, True]]))
    2
    """
    present = int(members.any(axis=0).sum())
    return present * (present - 1)


def pairwise_auc_loss(scores: Floats, members: Mask) -> float:
    """Return the same loss as the sum over pairs that it is, in O(N^2 K) time and O(N^2) memory.

    Parameters
    ----------
    scores, members
        As in `auc_square_loss`.
    """
    total, classes = 0.0, range(scores.shape[1])
    for positive in classes:
        for negative in classes:
            if positive != negative and members[:, positive].any() and members[:, negative].any():
                high = scores[members[:, positive], positive]
                low = scores[members[:, negative] & ~members[:, positive], positive]
                pairs = members[:, positive].sum() * members[:, negative].sum()
                total += float(((1.0 - (high[:, None] - low[None, :])) ** 2).sum() / pairs)
    return total


def class_aucs(scores: Floats, members: Mask) -> Floats:
    """Return the area under the ROC curve of each class against all other rows.

    Parameters
    ----------
    scores, members
        Shape (N, K).

    Returns
    -------
    ndarray of float, shape (K,)
        ``(sum of ranks of the class - n (n + 1) / 2) / (n (N - n))`` with mean ranks of ties; NaN
        where a class has no rows, or all.

    Examples
    --------
    >>> members = np.array([[True], [False], [True]])
    >>> class_aucs(np.array([[0.9], [0.5], [0.1]]), members).tolist()
    [0.5]
    """
    ranks = np.stack([_mean_ranks(column) for column in scores.T], axis=1)
    count = members.sum(axis=0)
    above = (ranks * members).sum(axis=0) - count * (count + 1) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        areas: Floats = above / (count * (len(scores) - count))
    return areas


def _mean_ranks(values: Floats) -> Floats:
    """Return ranks from 1, equal values sharing their mean."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    ranks: Floats = (below + up_to + 1) / 2.0
    return ranks
