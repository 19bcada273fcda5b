"""Bytes and FLOPs of kernels, counted once for cleaning, fitting and querying.

All functions take numbers or arrays alike.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.units import BYTES_PER_WEIGHT

Array = NDArray[np.float64]
Number = TypeVar("Number", float, Array)

ACTIVATION_BYTES = 2
"""Activations and messages are bfloat16, and so is the KV cache unless it says otherwise."""

LATENT_DIM = 512
ROPE_DIM = 64
"""Widths of a latent cache entry and of its rotary part (DeepSeek-V2/V3 configurations)."""


def gemm_bytes(m: float, n: float, k: float, dtype: str) -> float:
    """Bytes of a product ``[m, k] x [k, n]``: weights read, input read, output written."""
    return n * k * BYTES_PER_WEIGHT[dtype] + ACTIVATION_BYTES * m * (n + k)


def gemm_flops(m: float, n: float, k: float) -> float:
    """FLOPs of a product ``[m, k] x [k, n]``."""
    return 2.0 * m * n * k


def expert_bytes(
    hidden: Number, inter: Number, matrices: Number, split: Number, dtype: str
) -> Number:
    """Weight bytes of one expert on one GPU of ``split``: matrices x H x (I / split)."""
    return matrices * hidden * inter / split * BYTES_PER_WEIGHT[dtype]


def expert_activation_bytes(
    tokens: Number, hidden: Number, inter: Number, matrices: Number, split: Number, top_k: Number
) -> Number:
    """Bytes of activations that the expert kernels move, over all ``tokens x top_k`` pairs.

    Each pair reads its token (H), writes and reads the (matrices - 1) first products and writes and
    reads the activated one (2 matrices I / split in all), and writes and reads its share of the
    result (2 H).
    """
    return ACTIVATION_BYTES * tokens * top_k * (3 * hidden + 2 * matrices * inter / split)


def expert_flops(
    tokens: Number, hidden: Number, inter: Number, matrices: Number, split: Number, top_k: Number
) -> Number:
    """FLOPs of the grouped products: 2 matrices H (I / split) per pair of token and expert."""
    return 2 * matrices * hidden * inter / split * top_k * tokens


def cache_bytes(
    batch: Number,
    context: Number,
    kv_heads: Number,
    head_dim: Number,
    value_bytes: float | Number = ACTIVATION_BYTES,
) -> Number:
    """KV bytes that one decode reads: keys and values of all cached tokens, once."""
    return 2 * value_bytes * batch * context * kv_heads * head_dim


def attention_flops(pairs: Number, heads: Number, head_dim: Number) -> Number:
    """FLOPs over ``pairs`` of query and key: two products of 2 x head_dim each per head."""
    return 4 * pairs * heads * head_dim


def latent_cache_bytes(
    batch: Number, context: Number, value_bytes: float | Number = ACTIVATION_BYTES
) -> Number:
    """Bytes of latent cache that one decode reads; all heads share it."""
    return value_bytes * batch * context * (LATENT_DIM + ROPE_DIM)


def latent_flops(pairs: Number, heads: Number) -> Number:
    """FLOPs of absorbed latent attention over ``pairs`` of query and cached token."""
    return 2 * pairs * heads * (2 * LATENT_DIM + ROPE_DIM)


def causal_pairs(tokens: Array, window: Array) -> Array:
    """Pairs of query and key in a causal prefill of ``tokens``; ``window`` 0 is no window.

    Examples
    --------
    >>> causal_pairs(np.array([4.0, 4.0]), np.array([0.0, 2.0]))
    array([8., 6.])
    """
    span = np.where(window > 0, np.minimum(tokens, window), tokens)
    return span * tokens - span * span / 2
