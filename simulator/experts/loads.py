"""What the tokens of one step bring to each rank, layer by layer."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
    small = np.min_scalar_type(layers * experts)  # narrow keys are an eighth of the work
    keys = chosen + np.arange(0, layers * experts, experts, dtype=small)[:, None]
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
    if sources is None:
        return spread_loads(count_experts(chosen, placement.experts), placement)
    layers, copies = chosen.shape
    _check_layers(layers, placement)
    flows = _flows(chosen, placement, np.repeat(sources, copies // len(sources)))
    counts = flows.sum(axis=1)
    tokens, active = _brought(counts, placement)
    home = flows.sum(axis=2).astype(float)
    local = np.einsum("lre,lre->lr", flows, _each_layer(placement.shares, layers))
    return RankLoads(tokens, active, home - local, tokens - local, counts)


def spread_loads(counts: Ints, placement: Placement) -> RankLoads:
    """Return what the copies of each expert bring to each rank, tokens spread over all ranks.

    Parameters
    ----------
    counts
        Token copies by logical expert, shape (layers, experts).
    placement
        As in `rank_loads`, whose notes and errors hold here.
    """
    _check_layers(len(counts), placement)
    tokens, active = _brought(counts, placement)
    home = counts.sum(axis=1, keepdims=True) / placement.ranks
    local = tokens / placement.ranks
    return RankLoads(tokens, active, home - local, tokens - local, counts)


def _check_layers(layers: int, placement: Placement) -> None:
    if placement.layers not in (1, layers):
        raise ConfigError(
            f"the placement has {placement.layers} layers, but the routes have {layers}; place all "
            f"layers alike or each of them."
        )


def _each_layer(table: NDArray[Any], layers: int) -> NDArray[Any]:
    return np.broadcast_to(table, (layers, *table.shape[1:]))


def _flows(chosen: NDArray[np.integer], placement: Placement, per_copy: Ints) -> Ints:
    """Return the copies from each rank to each expert, shape (layers, ranks, experts)."""
    shape = len(chosen), placement.ranks, placement.experts
    rows = np.arange(shape[0])[:, None] * shape[1] + per_copy
    keys = rows * shape[2] + chosen
    return np.bincount(keys.ravel(), minlength=math.prod(shape)).reshape(shape)


def _brought(counts: Ints, placement: Placement) -> tuple[Floats, Ints]:
    """Return token copies and active experts of each rank, both of shape (layers, ranks)."""
    held = _each_layer(placement.slots, len(counts))
    flat = held.reshape(len(counts), -1)
    brought = np.take_along_axis(counts, flat, axis=1).reshape(held.shape)  # empty: weight 0
    tokens = np.einsum("lrs,lrs->lr", brought, _each_layer(placement.weights, len(counts)))
    active = ((brought > placement.orders) & (held != EMPTY)).sum(axis=-1)
    return tokens, active


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
    return np.asarray(np.divide(loads.max(axis=-1), mean, out=np.ones_like(mean), where=mean > 0))
