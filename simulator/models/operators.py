"""Operators of one forward pass, as the shapes that one GPU runs.

A pass over the whole model is a tuple of operators; each says which part of a step it belongs to,
its shape on one GPU of a tensor-parallel group, and how many times the pass runs it. What an
operator costs is decided elsewhere: these are shapes only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gemm:
    """Dense matrix product ``[m, k] x [k, n]``; m is the number of tokens in the step.

    Parameters
    ----------
    part
        Part of the step: ``"projections"``, ``"mlp"``, ``"shared_experts"``, ``"router"`` or
        ``"lm_head"``.
    n, k
        Columns of the weight on one GPU, and rows.
    dtype
        Weight format, one of ``units.BYTES_PER_WEIGHT``.
    calls
        How often one pass runs it (usually the number of layers).
    sampled_only
        True when only the tokens whose logits are needed enter (LM head).
    """

    part: str
    n: int
    k: int
    dtype: str
    calls: int
    sampled_only: bool = False


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of a layer (top-k, sort, two grouped products, activation, combine).

    Parameters
    ----------
    experts, top_k
        Routed experts of the model, and how many one token uses (E and K).
    hidden, inter
        Model width, and width of one expert before any split.
    tensor_parallel
        Over how many GPUs each expert is split.
    dtype, calls
        As in `Gemm`.
    gated
        True for gate-up-down experts (three matrices), False for two.
    """

    experts: int
    top_k: int
    hidden: int
    inter: int
    tensor_parallel: int
    dtype: str
    calls: int
    gated: bool = True
    part: str = "experts"


@dataclass(frozen=True, slots=True)
class GroupedQueryAttention:
    """Softmax attention over a KV cache, heads of one GPU (multi-head when the two counts agree).

    Parameters
    ----------
    heads, kv_heads, head_dim
        Query heads, KV heads and their width, on one GPU.
    window
        Sliding window in tokens; 0 for full attention.
    calls
        Layers of this kind.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int
    calls: int
    part: str = "attention"


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """DeepSeek's multi-head latent attention, heads of one GPU; the latent cache is replicated.

    Parameters
    ----------
    heads
        Query heads on one GPU.
    latent_dim, rope_dim
        Widths of the compressed cache entry and of its rotary part (512 and 64 in DeepSeek-V2/V3).
    nope_dim, value_dim
        Head widths without rotation and of the values (128 and 128).
    calls
        Layers.
    """

    heads: int
    latent_dim: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    calls: int
    part: str = "attention"


@dataclass(frozen=True, slots=True)
class AllReduce:
    """Sum over the tensor-parallel group: ``elements_per_token`` bf16 values per token."""

    elements_per_token: int
    gpus: int
    calls: int
    part: str = "all_reduce"


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Memory-bound kernels between the products: norms, residuals, rotary, activations, embedding.

    Parameters
    ----------
    bytes_per_token
        Bytes read and written per token by one call, on one GPU.
    kernels
        Kernel launches in one call.
    calls
        As in `Gemm`.
    """

    bytes_per_token: float
    kernels: int
    calls: int
    part: str = "elementwise"


Operator = Gemm | Experts | GroupedQueryAttention | LatentAttention | AllReduce | Elementwise
