"""What the tokens of one step bring to each rank, layer by layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.placement import EMPTY, Placement

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class RankLoads(NamedTuple):
    """Loads of the ranks in one step.

    A *token copy* is one token on its way to one of its K experts.

    Parameters
    ----------
    tokens
        Token copies that each rank computes, shape (layers, ranks).
    active
        Distinct experts that each rank reads, shape (layers, ranks).
    sent, received
        Token copies that leave each rank for others, and that reach it from others, shape
        (layers, ranks). The combine sends them back.
    expert_tokens
        Token copies by logical expert, shape (layers, experts).
    """

    tokens: Floats
    active: Ints
    sent: Floats
    received: Floats
    expert_tokens: Ints


def count_experts(chosen: NDArray[np.integer], experts: int) -> Ints:
    """Count the token copies of each expert, layer by layer.

    Parameters
    ----------
    chosen
        Experts picked, of shape (layers, copies).
    experts
        Logical experts E of a layer.

    Returns
    -------
    ndarray of int, shape (layers, experts)

    Examples
    --------
    >>> count_experts(np.array([[0, 2, 2], [1, 1, 1]]), 3).tolist()
    [[1, 0, 2], [0, 3, 0]]
    """
    layers = len(chosen)
    keys = chosen + np.arange(0, layers * experts, experts)[:, None]
    return np.bincount(keys.ravel(), minlength=layers * experts).reshape(layers, experts)


def rank_loads(
    chosen: NDArray[np.integer], placement: Placement, sources: Ints | None = None
) -> RankLoads:
    """Return what one step brings to each rank.

    Parameters
    ----------
    chosen
        Experts picked, of shape (layers, copies): the K of the first token, then of the second.
    placement
        Where experts lie; of one layer, or of as many as `chosen`.
    sources
        Rank on which each token lives, shape (tokens,): that of its attention group. None: tokens
        live evenly spread over all ranks.

    Notes
    -----
    Replicas share the tokens of an expert evenly, so loads may be fractions. Of an expert with
    fewer copies than replicas, the first replicas are active.

    Raises
    ------
    ConfigError
        If the placement has another number of layers.

    Examples
    --------
    Two tokens pick experts 0 and 1, and 0 and 3, of four on two ranks.

    >>> from simulator.experts.placement import contiguous
    >>> loads = rank_loads(np.array([[0, 1, 0, 3]]), contiguous(4, 2), np.array([0, 1]))
    >>> loads.tokens.tolist(), loads.active.tolist()
    ([[3.0, 1.0]], [[2, 1]])
    >>> loads.sent.tolist(), loads.received.tolist()
    ([[0.0, 1.0]], [[1.0, 0.0]])
    """
    layers, copies = chosen.shape
    if placement.layers not in (1, layers):
        raise ConfigError(
            f"the placement has {placement.layers} layers, but the routes have {layers}; place all "
            f"layers alike or each of them."
        )
    counts = count_experts(chosen, placement.experts)
    held = np.broadcast_to(placement.slots, (layers, *placement.slots.shape[1:]))
    flat = held.reshape(layers, -1)
    brought = np.take_along_axis(counts, flat, axis=1).reshape(held.shape)  # empty: weight 0
    tokens = np.einsum("lrs,lrs->lr", brought, np.broadcast_to(placement.weights, held.shape))
    active = ((brought > placement.orders) & (placement.slots != EMPTY)).sum(axis=-1)
    if sources is None:
        local = tokens / placement.ranks
        home = np.full((1, placement.ranks), copies / placement.ranks)
    else:
        per_copy = np.repeat(sources, copies // len(sources))
        local = _local(chosen, placement, per_copy)
        home = np.bincount(per_copy, minlength=placement.ranks).astype(float)[None]
    return RankLoads(tokens, active, home - local, tokens - local, counts)


def _local(chosen: NDArray[np.integer], placement: Placement, per_copy: Ints) -> Floats:
    """Return the copies that stay on the rank where their token lives, shape (layers, ranks)."""
    layers, ranks = len(chosen), placement.ranks
    layer = np.arange(layers)[:, None]
    placed = layer if placement.layers > 1 else 0
    stays = placement.shares[placed, per_copy, chosen]
    keys = layer * ranks + per_copy
    counted = np.bincount(keys.ravel(), stays.ravel(), minlength=layers * ranks)
    return counted.reshape(layers, ranks)


def imbalance(loads: Floats) -> Floats:
    """Return the load of the slowest rank over the mean, layer by layer; 1 where there is none.

    Parameters
    ----------
    loads
        Of the ranks, shape (..., ranks): `RankLoads.tokens` or any other.

    Examples
    --------
    >>> imbalance(np.array([[3.0, 1.0], [0.0, 0.0]])).tolist()
    [1.5, 1.0]
    """
    mean = loads.mean(axis=-1)
    return np.divide(loads.max(axis=-1), mean, out=np.ones_like(mean), where=mean > 0)
