"""Routes to learn from and to serve: before a change of workload, and after it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.experts.drafts import memberships
from simulator.experts.loads import count_experts
from simulator.experts.pool import RoutePool
from simulator.experts.routes import sample_pool
from simulator.experts.sampling import Archetype
from simulator.streams import Streams
from simulator.study.prefetch.bank import Item

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_SEQUENCES = 16
"""Fewer sequences are refused: half of them would not show what is rare."""


class Traces(NamedTuple):
    """Routes of one kind of traffic, and of what comes after.

    Parameters
    ----------
    learned
        What predictors are trained on.
    before
        Other sequences of the same traffic.
    after
        Sequences after the change.
    """

    learned: RoutePool
    before: RoutePool
    after: RoutePool

    @property
    def copies(self) -> Ints:
        """Token copies by expert in what is learned from, shape (layers, E)."""
        return expert_copies(self.learned)


def expert_copies(pool: RoutePool) -> Ints:
    """Return the token copies of each expert in a pool, shape (layers, E)."""
    return count_experts(pool.chosen.reshape(pool.layers, -1), pool.experts)


def drawn_traces(
    archetype: Archetype, layers: int, sequences: int, tokens: int, seed: int
) -> Traces:
    """Draw routes; after the change, hot and cold experts have swapped.

    Parameters
    ----------
    archetype
        How tokens share experts.
    layers
        MoE layers.
    sequences, tokens
        Sequences to learn from (as many are served), and tokens of each.
    seed
        Of the draws.
    """
    pool = sample_pool((archetype,), layers, 2 * sequences, tokens, seed)
    return split_traces(Recorded(pool))


class Recorded(NamedTuple):
    """Routes that were recorded, or drawn, all at once.

    Parameters
    ----------
    before
        Routes before the change.
    after
        Routes after it; None: those before it, hot and cold experts swapped.
    """

    before: RoutePool
    after: RoutePool | None = None


def split_traces(recorded: Recorded, seed: int | None = None) -> Traces:
    """Learn from one half of the sequences, serve the other; then one half of those after.

    Parameters
    ----------
    recorded
        Routes; checked by `check_recorded`.
    seed
        Says which half; None: the first.
    """
    pool = recorded.before
    order = np.arange(len(pool.lengths))
    if seed is not None:
        order = Streams(seed).block("halves of a trace", 0).permutation(order)
    half = len(order) // 2
    learned, before = pool.of(np.sort(order[:half])), pool.of(np.sort(order[half:]))
    after = recorded.after
    if after is None:
        return Traces(learned, before, swapped(before, expert_copies(learned)))
    if seed is not None:  # a sample of it in each repetition
        order = Streams(seed).block("halves of a trace", 1).permutation(len(after.lengths))
        after = after.of(np.sort(order[: max(len(order) // 2, 1)]))
    return Traces(learned, before, after)


def check_recorded(recorded: Recorded) -> None:
    """Refuse routes that cannot be learned from.

    Raises
    ------
    DataError
        If there are too few sequences, or pools do not go together. Recorded features go with what
        tokens say, so that routes that bring them cannot be swapped.
    """
    pool, after = recorded
    count = len(pool.lengths)
    if count < LEAST_SEQUENCES:
        raise DataError(
            f"a trace of {count} sequences is too short to learn from; record "
            f"{LEAST_SEQUENCES} or more."
        )
    if after is None and pool.features is not None:
        raise DataError(
            "the trace brings features, so that a change of workload cannot be made up by "
            "renaming experts; record traffic after a change and give it with shifted=FILE."
        )
    both = (pool, pool if after is None else after)
    sizes = [None if one.features is None else one.features.shape[1] for one in both]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"the traces bring {sizes[0] or 'no'} and {sizes[1] or 'no'} features a token; record "
            f"both with the same drafter."
        )


def swapped(pool: RoutePool, copies: Ints) -> RoutePool:
    """Rename experts so that the most popular takes the place of the least, layer by layer.

    Parameters
    ----------
    pool
        Routes.
    copies
        How popular experts are, shape (layers, E).

    Examples
    --------
    >>> pool = RoutePool(3, np.array([[[0], [1], [0]]], dtype=np.uint8), np.array([3]))
    >>> swapped(pool, np.array([[5, 1, 0]])).chosen.ravel().tolist()
    [2, 1, 2]
    """
    ranked = np.argsort(-copies, axis=1, kind="stable")
    names = np.empty_like(ranked)
    np.put_along_axis(names, ranked, ranked[:, ::-1], axis=1)
    chosen = np.stack([name[layer] for name, layer in zip(names, pool.chosen, strict=True)])
    return RoutePool(pool.experts, chosen.astype(pool.chosen.dtype), pool.lengths)


def items_of(pool: RoutePool, features: Floats) -> list[list[Item]]:
    """Return the sequences of a pool as items to train on, for each layer.

    Parameters
    ----------
    pool
        The routes.
    features
        Of its tokens: a block for each layer, or recorded ones that all layers share.
    """
    members, cuts = memberships(pool), pool.starts[1:]
    blocks = [features] * pool.layers
    if pool.features is None:
        blocks = np.split(features, pool.layers, axis=1)
    return [
        [
            Item(*rows)
            for rows in zip(np.split(block, cuts), np.split(members[:, layer], cuts), strict=True)
        ]
        for layer, block in enumerate(blocks)
    ]
