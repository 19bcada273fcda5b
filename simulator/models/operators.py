"""Operators of one forward pass, as the shapes that one GPU runs.

A pass over the whole model is a tuple of operators; each says which part of a step it belongs to,
its shape on one GPU of a replica, and how many times the pass runs it. Experts and the exchanges
around them (`AllGather`, `ReduceScatter`, `Dispatch`, `Combine`) concern the tokens of all
attention groups of a replica, every other operator those of one group (`models.parallelism`). What
an operator costs is decided elsewhere: these are shapes only.
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
    expert_parallel
        Over how many GPUs the experts are spread.
    redundant
        Replicas of experts beside these, over the same GPUs.
    masked
        Whether rows come sorted by expert from a dispatch (DeepEP's low-latency kernels).
    """

    experts: int
    top_k: int
    hidden: int
    inter: int
    tensor_parallel: int
    dtype: str
    calls: int
    gated: bool = True
    expert_parallel: int = 1
    redundant: int = 0
    masked: bool = False
    part: str = "experts"

    @property
    def slots(self) -> int:
        """Experts and replicas of all GPUs."""
        return self.experts + self.redundant


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
    kv_dtype
        Format of the cache: ``"bfloat16"`` or ``"fp8"``.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int
    calls: int
    kv_dtype: str = "bfloat16"
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
    kv_dtype
        As in `GroupedQueryAttention`.
    """

    heads: int
    latent_dim: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    calls: int
    kv_dtype: str = "bfloat16"
    part: str = "attention"


@dataclass(frozen=True, slots=True)
class SparseLatentAttention:
    """Latent attention to the cached tokens that an indexer chooses (DeepSeek-V3.2-Exp, GLM-5).

    Stands for the index scores over the whole cache, the choice of the best tokens, attention to
    those, and the absorbed up-projection. Projections, norms, rotation and cache writes are
    operators of their own.

    Parameters
    ----------
    heads, latent_dim, rope_dim, nope_dim, value_dim
        As in `LatentAttention`.
    index_heads, index_dim
        Index query heads, and their width. Every GPU of a group has all of them, and one index key
        per cached token.
    top_k
        Cached tokens that a query token attends to.
    calls, kv_dtype
        As in `LatentAttention`. Index keys are fp8 whatever the format of the cache.
    """

    heads: int
    latent_dim: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    index_heads: int
    index_dim: int
    top_k: int
    calls: int
    kv_dtype: str = "bfloat16"
    part: str = "attention"


@dataclass(frozen=True, slots=True)
class LinearAttention:
    """Gated delta rule over a state of fixed size, heads of one GPU.

    Stands for the short convolution and the rule. Projections are `Gemm`, the gated norm is
    `Elementwise`.

    Parameters
    ----------
    key_heads, value_heads
        Heads of queries and keys, and of values, on one GPU.
    key_dim, value_dim
        Their widths. Each value head has a state of ``key_dim x value_dim`` float32 values per
        request, which a step reads and writes once.
    conv_width
        Tokens that the convolution spans.
    calls
        Layers.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv_width: int
    calls: int
    part: str = "linear_attention"


@dataclass(frozen=True, slots=True)
class AllReduce:
    """Sum over an attention group: ``elements_per_token`` bf16 values per token."""

    elements_per_token: int
    gpus: int
    calls: int
    part: str = "all_reduce"


@dataclass(frozen=True, slots=True)
class AllGather:
    """Exchange before the routed experts: every GPU gets the tokens of all attention groups.

    Parameters
    ----------
    bytes_per_token
        Bytes of a token as it travels.
    gpus
        GPUs that share the layer.
    calls
        As in `Gemm`.
    """

    bytes_per_token: float
    gpus: int
    calls: int
    part: str = "dispatch"


@dataclass(frozen=True, slots=True)
class ReduceScatter:
    """Exchange after the routed experts: their shares are summed, each group gets its own tokens.

    Parameters
    ----------
    bytes_per_token, gpus, calls
        As in `AllGather`.
    """

    bytes_per_token: float
    gpus: int
    calls: int
    part: str = "combine"


@dataclass(frozen=True, slots=True)
class _ExpertExchange:
    """What dispatch and combine share.

    Parameters
    ----------
    backend
        ``"deepep_low_latency"``, a copy for each expert, or ``"deepep_high_throughput"``, a copy
        for each node and GPU.
    bytes_per_token
        Bytes of a copy as it travels.
    hidden, top_k, experts
        Model width, experts per token, and slots of experts and replicas on all GPUs.
    gpus
        GPUs that share the layer.
    calls
        As in `Gemm`.
    """

    backend: str
    bytes_per_token: float
    hidden: int
    top_k: int
    experts: int
    gpus: int
    calls: int


@dataclass(frozen=True, slots=True)
class Dispatch(_ExpertExchange):
    """Exchange before the routed experts: a token goes to the GPUs whose experts it chose.

    Parameters are those of `_ExpertExchange`.
    """

    part: str = "dispatch"


@dataclass(frozen=True, slots=True)
class Combine(_ExpertExchange):
    """Exchange after the routed experts: results go back to the GPU of their token, and are summed.

    Parameters are those of `_ExpertExchange`.
    """

    part: str = "combine"


@dataclass(frozen=True, slots=True)
class Send:
    """Hand-over to the next stage of a pipeline: ``bytes_per_token`` from every GPU to another."""

    bytes_per_token: float
    calls: int
    part: str = "pipeline"


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


Operator = (
    Gemm
    | Experts
    | GroupedQueryAttention
    | LatentAttention
    | SparseLatentAttention
    | LinearAttention
    | AllReduce
    | AllGather
    | ReduceScatter
    | Dispatch
    | Combine
    | Send
    | Elementwise
)


EXPERT_KERNELS = 6
"""Kernels of `Experts`: top-k, sort, two grouped products, activation, combine."""


def launches(operator: Operator) -> int:
    """Return how many kernels one call of an operator launches; several for elementwise, experts.

    Examples
    --------
    >>> launches(Gemm("mlp", 64, 64, "bfloat16", 1)), launches(Elementwise(64.0, 2, 1))
    (1, 2)
    """
    if isinstance(operator, Elementwise):
        return operator.kernels
    return EXPERT_KERNELS if isinstance(operator, Experts) else 1
