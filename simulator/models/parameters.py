"""Parameters and bytes of an architecture, in all and on one GPU of a tensor-parallel group."""

from __future__ import annotations

from simulator.models.architecture import Architecture, Attention, Moe
from simulator.models.parallelism import check_parallelism, local_kv_heads, local_vocab
from simulator.units import BYTES_PER_WEIGHT

UNQUANTIZED = "bfloat16"
"""Format of embedding, LM head, router and norms."""

LEARNED_POSITION_PADDING = 2
"""Rows of a learned position table beyond the context (OPT's published checkpoints)."""


def parameters(arch: Architecture, tensor_parallel: int = 1) -> dict[str, int]:
    """Count the parameters that one GPU holds, by part.

    Parameters
    ----------
    arch
        The architecture.
    tensor_parallel
        GPUs of the group; 1 counts the model itself. What a group replicates (norms, router, MLA's
        down-projections, output biases, positions, KV heads of a group wider than their number) and
        the padding of the vocabulary count fully on every GPU.

    Returns
    -------
    dict
        Keys ``embedding`` (positions and width projections included), ``attention``, ``mlp``,
        ``router`` (gate of the shared experts included), ``experts``, ``shared_experts``,
        ``norms``, ``lm_head`` (0 when tied).

    Raises
    ------
    ConfigError
        If the group size does not divide the architecture.
    """
    check_parallelism(arch, tensor_parallel)
    vocab_matrix = local_vocab(arch.vocab, tensor_parallel) * arch.embedding_dim
    mlp = feed_forward_parameters(
        arch.hidden, arch.mlp_inter // tensor_parallel, arch.gated, arch.mlp_bias
    )
    counts = {
        "embedding": vocab_matrix + _embedding_extras(arch),
        "attention": arch.layers * _attention(arch, arch.attention, tensor_parallel),
        "mlp": arch.dense_layers * mlp,
        "router": 0,
        "experts": 0,
        "shared_experts": 0,
        "norms": _norms(arch),
        "lm_head": 0 if arch.tied_embeddings else vocab_matrix,
    }
    if arch.moe is not None:
        layer = _moe_layer(arch.hidden, arch.moe, tensor_parallel)
        counts |= {part: arch.moe_layers * count for part, count in layer.items()}
    return counts


def total_parameters(arch: Architecture) -> int:
    """Return the parameters of the whole model, tied embeddings counted once."""
    return sum(parameters(arch).values())


def active_parameters(arch: Architecture) -> int:
    """Return the parameters in use for one token: all but the experts the router passes over.

    Embedding and LM head count in full. Some publishers leave out one of them or both.
    """
    counts = parameters(arch)
    if arch.moe is None:
        return sum(counts.values())
    idle = counts["experts"] * (arch.moe.experts - arch.moe.top_k) // arch.moe.experts
    return sum(counts.values()) - idle


def part_dtype(arch: Architecture, part: str) -> str:
    """Return the weight format of a part named by `parameters`."""
    if part == "experts":
        return arch.expert_dtype
    return arch.dtype if part in ("attention", "mlp", "shared_experts") else UNQUANTIZED


def weight_bytes(arch: Architecture, tensor_parallel: int = 1) -> float:
    """Return the bytes of weights on one GPU.

    Tied embeddings are stored once. Biases are counted in the format of their part.

    Raises
    ------
    ConfigError
        If the group size does not divide the architecture.
    """
    counts = parameters(arch, tensor_parallel)
    return sum(count * BYTES_PER_WEIGHT[part_dtype(arch, part)] for part, count in counts.items())


def expert_bytes(arch: Architecture) -> float:
    """Return the bytes of one routed expert of one layer, before any split; 0 in a dense model."""
    if arch.moe is None:
        return 0.0
    moe = arch.moe
    count = feed_forward_parameters(arch.hidden, moe.inter, moe.gated, moe.bias)
    return count * BYTES_PER_WEIGHT[arch.expert_dtype]


def kv_bytes_per_token(
    arch: Architecture, tensor_parallel: int = 1, kv_dtype: str = UNQUANTIZED
) -> float:
    """Return the bytes that one token of context occupies in the KV cache of one GPU, all layers.

    Grouped-query attention keeps a key and a value per KV head, split over the group and replicated
    once the group is wider than the number of KV heads. MLA keeps one latent and one rotary part,
    replicated on every GPU.

    Layers with a sliding window count in full: exact up to the window, an upper bound beyond it
    (and what an engine reserves whose cache manager does not treat windowed layers apart).

    Parameters
    ----------
    arch, tensor_parallel
        As in `parameters`.
    kv_dtype
        Format of the cache, a key of ``units.BYTES_PER_WEIGHT``.

    Raises
    ------
    ConfigError
        If the group size does not divide the architecture.
    """
    check_parallelism(arch, tensor_parallel)
    attention = arch.attention
    if attention.kind == "mla":
        elements = attention.kv_lora_rank + attention.rope_dim
    else:
        elements = 2 * local_kv_heads(attention, tensor_parallel) * attention.head_dim
    return arch.layers * elements * BYTES_PER_WEIGHT[kv_dtype]


def feed_forward_parameters(hidden: int, inter: int, gated: bool, bias: bool) -> int:
    """Count the parameters of one MLP or expert: up, down and, when gated, gate.

    Examples
    --------
    An expert of Qwen2-57B-A14B:

    >>> feed_forward_parameters(3584, 2560, gated=True, bias=False)
    27525120
    """
    columns = (2 if gated else 1) * inter
    return hidden * (columns + inter) + (columns + hidden if bias else 0)


def _moe_layer(hidden: int, moe: Moe, tensor_parallel: int) -> dict[str, int]:
    inter, shared = moe.inter // tensor_parallel, moe.shared_inter // tensor_parallel
    gate = hidden if moe.shared_gate else 0
    return {
        "router": hidden * moe.experts + (moe.experts if moe.bias else 0) + gate,
        "experts": moe.experts * feed_forward_parameters(hidden, inter, moe.gated, moe.bias),
        "shared_experts": feed_forward_parameters(hidden, shared, moe.gated, bias=False),
    }


def _attention(arch: Architecture, attention: Attention, tensor_parallel: int) -> int:
    heads = attention.heads // tensor_parallel
    width = attention.inputs * arch.hidden
    if attention.kind == "mla":
        latent, query = attention.kv_lora_rank, attention.q_lora_rank
        down = width * (query + latent + attention.rope_dim)
        up = (query or width) * heads * (attention.nope_dim + attention.rope_dim)
        up += latent * heads * (attention.nope_dim + attention.value_dim)
        return down + up + heads * attention.value_dim * arch.hidden
    q_dim = heads * attention.head_dim
    qkv_dim = q_dim + 2 * local_kv_heads(attention, tensor_parallel) * attention.head_dim
    count = width * qkv_dim + q_dim * arch.hidden
    count += qkv_dim if attention.bias else 0
    count += arch.hidden if attention.output_bias else 0
    return count + (heads if attention.sinks else 0)


def _norms(arch: Architecture) -> int:
    attention = arch.attention
    per_width = 2 if arch.norm == "layer" else 1
    layer = 2 * arch.hidden * per_width
    if attention.kind == "mla":
        layer += attention.q_lora_rank + attention.kv_lora_rank
    if attention.qk_norm:
        layer += 2 * attention.head_dim
    return arch.layers * layer + arch.hidden * per_width


def _embedding_extras(arch: Architecture) -> int:
    count = 0
    if arch.positions == "learned":
        count += (arch.max_context_tokens + LEARNED_POSITION_PADDING) * arch.hidden
    if arch.embedding_dim != arch.hidden:
        count += 2 * arch.embedding_dim * arch.hidden
    return count
