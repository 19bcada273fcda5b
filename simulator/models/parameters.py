"""Parameters and bytes of an architecture, in all and on one GPU of a replica."""

from __future__ import annotations

from simulator.models.architecture import Architecture, Attention, GatedDeltaNet, Moe
from simulator.models.parallelism import (
    SINGLE_GPU,
    Parallelism,
    check_parallelism,
    local_kv_heads,
    local_vocab,
    stage_layers,
)
from simulator.units import BYTES_PER_WEIGHT

UNQUANTIZED = "bfloat16"
"""Format of embedding, LM head, router and norms."""

LEARNED_POSITION_PADDING = 2
"""Rows of a learned position table beyond the context (OPT's published checkpoints)."""

STATE_BYTES = 4
"""Bytes per value of the state of linear attention: engines hold it in float32 where the published
configuration says so (``mamba_ssm_dtype``; Qwen3.5 does), and the convolution's in bfloat16."""

SCALED_VALUES = 128
"""Values that share a float32 scale in index keys and in fp8 latents of sparse attention (vLLM's
``fp8_ds_mla`` cache: 656 bytes per token, the rotary part in bfloat16)."""


def parameters(arch: Architecture, parallelism: Parallelism = SINGLE_GPU) -> dict[str, int]:
    """Count the parameters that one GPU holds, by part.

    With a pipeline the fullest GPU counts: of the longest stage, with experts in all its layers if
    there are as many, and with the embedding (the LM head sits at the other end).

    Parameters
    ----------
    arch
        The architecture.
    parallelism
        How the GPUs split the model; one GPU counts the model itself. What an attention group
        replicates (norms, router, MLA's down-projections, output biases, positions, KV heads of a
        group wider than their number) and the padding of the vocabulary count fully on every GPU.

    Returns
    -------
    dict
        Keys ``embedding`` (positions and width projections included), ``attention`` (indexer
        included), ``linear_attention``, ``mlp``, ``router`` (gate of the shared experts included),
        ``experts``, ``shared_experts``, ``norms``, ``lm_head`` (0 when tied).

    Raises
    ------
    ConfigError
        If a size does not fit the architecture.
    """
    check_parallelism(arch, parallelism)
    tensor = parallelism.tensor
    vocab_matrix = local_vocab(arch.vocab, tensor) * arch.embedding_dim
    mlp = feed_forward_parameters(arch.hidden, arch.mlp_inter // tensor, arch.gated, arch.mlp_bias)
    counts = {
        "embedding": vocab_matrix + _embedding_extras(arch),
        "attention": arch.softmax_layers * _attention(arch, arch.attention, tensor),
        "linear_attention": _linear(arch.hidden, arch.linear, tensor),
        "mlp": arch.dense_layers * mlp,
        "router": 0,
        "experts": 0,
        "shared_experts": 0,
        "norms": _norms(arch),
        "lm_head": 0 if arch.tied_embeddings else vocab_matrix,
    }
    if arch.moe is not None:
        layer = _moe_layer(arch.hidden, arch.moe, parallelism)
        counts |= {part: arch.moe_layers * count for part, count in layer.items()}
    return counts if parallelism.pipeline == 1 else _fullest(arch, counts, parallelism.pipeline)


def _fullest(arch: Architecture, counts: dict[str, int], pipeline: int) -> dict[str, int]:
    """Reduce the counts of all layers to those of the fullest GPU along a pipeline."""
    longest = stage_layers(arch.layers, pipeline)
    with_experts = min(longest, arch.moe_layers)
    held = {"mlp": (longest - with_experts, arch.dense_layers)}
    held |= dict.fromkeys(("router", "experts", "shared_experts"), (with_experts, arch.moe_layers))
    held["norms"] = (longest, arch.layers)
    for part, layers in (
        ("attention", arch.softmax_layers),
        ("linear_attention", arch.linear_layers),
    ):
        held[part] = (stage_layers(layers, pipeline), layers)
    stage = {part: -(-counts[part] * few // max(many, 1)) for part, (few, many) in held.items()}
    return counts | stage | {"lm_head": 0}


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
    if part in ("attention", "linear_attention"):
        return arch.projection_dtype
    return arch.dtype if part in ("mlp", "shared_experts") else UNQUANTIZED


def bytes_per_weight(arch: Architecture, part: str) -> float:
    """Return the bytes of one weight of a part named by `parameters`, its scales included."""
    dtype = part_dtype(arch, part)
    if part == "experts" and dtype == "int4_wo" and arch.moe is not None:
        return 0.5 + 2.0 / arch.moe.int4_group
    return BYTES_PER_WEIGHT[dtype]


def weight_bytes(arch: Architecture, parallelism: Parallelism = SINGLE_GPU) -> float:
    """Return the bytes of weights on one GPU, the fullest with a pipeline.

    Tied embeddings are stored once. Biases are counted in the format of their part, and so are the
    few matrices of indexer and linear attention that checkpoints leave in bfloat16.

    Raises
    ------
    ConfigError
        If a size does not fit the architecture.
    """
    counts = parameters(arch, parallelism)
    return sum(count * bytes_per_weight(arch, part) for part, count in counts.items())


def expert_bytes(arch: Architecture) -> float:
    """Return the bytes of one routed expert of one layer, before any split; 0 in a dense model."""
    if arch.moe is None:
        return 0.0
    moe = arch.moe
    count = feed_forward_parameters(arch.hidden, moe.inter, moe.gated, moe.bias)
    return count * bytes_per_weight(arch, "experts")


def kv_bytes_per_token(arch: Architecture, parallelism: Parallelism = SINGLE_GPU) -> float:
    """Return the bytes that one token of context occupies in the KV cache of one GPU.

    The GPU belongs to the attention group that serves the token, and to the longest stage of a
    pipeline. Grouped-query attention keeps a key and a value per KV head, split over the group and
    replicated once the group is wider than the number of KV heads. MLA keeps one latent and one
    rotary part, replicated on every GPU of the group; with sparse attention also an fp8 index key
    and its scale, and an fp8 latent has scales and a rotary part in bfloat16. Linear attention
    keeps nothing per token (`state_bytes_per_request`).

    Layers with a sliding window count in full: exact up to the window, an upper bound beyond it
    (and what an engine reserves whose cache manager does not treat windowed layers apart).

    Parameters
    ----------
    arch, parallelism
        As in `parameters`.

    Raises
    ------
    ConfigError
        If a size does not fit the architecture.
    """
    check_parallelism(arch, parallelism)
    attention, element_bytes = arch.attention, BYTES_PER_WEIGHT[arch.kv_dtype]
    if attention.kind == "mla":
        layer = (attention.kv_lora_rank + attention.rope_dim) * element_bytes
        if attention.indexer is not None:
            latent = attention.kv_lora_rank
            if arch.kv_dtype == "fp8":
                layer = _scaled_bytes(latent) + attention.rope_dim * BYTES_PER_WEIGHT[UNQUANTIZED]
            layer += _scaled_bytes(attention.indexer.dim)
    else:
        kv_heads = local_kv_heads(attention, parallelism.tensor)
        layer = 2 * kv_heads * attention.head_dim * element_bytes
    return stage_layers(arch.softmax_layers, parallelism.pipeline) * layer


def state_bytes_per_request(
    arch: Architecture, parallelism: Parallelism = SINGLE_GPU, gamma: int = 0
) -> float:
    """Return the bytes of state that a request keeps on one GPU whatever its context.

    Per layer of linear attention and value head a matrix of ``key_dim x value_dim`` in float32, and
    the last ``conv_width - 1`` inputs of the convolution in bfloat16; 0 for other models. A verify
    step cannot roll the state back, so engines keep one after each of its gamma + 1 tokens, and
    gamma more inputs (vLLM 0.24: ``1 + num_speculative_blocks`` blocks per request).

    Parameters
    ----------
    arch, parallelism
        As in `parameters`.
    gamma
        Draft length.

    Raises
    ------
    ConfigError
        If a size does not fit the architecture.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> state_bytes_per_request(load_architecture("qwen3_5_397b_a17b")) / 2**20
    183.1640625
    """
    check_parallelism(arch, parallelism)
    linear = arch.linear
    if linear is None:
        return 0.0
    tensor = parallelism.tensor
    state = linear.value_heads // tensor * linear.key_dim * linear.value_dim * STATE_BYTES
    inputs = (linear.conv_width - 1 + gamma) * linear.conv_channels // tensor
    layer = state + inputs * BYTES_PER_WEIGHT[UNQUANTIZED]
    return stage_layers(linear.layers, parallelism.pipeline) * (gamma + 1) * layer


def _scaled_bytes(values: int) -> float:
    """Return the bytes of fp8 values with their float32 scales."""
    return values * BYTES_PER_WEIGHT["fp8"] + 4 * -(-values // SCALED_VALUES)


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


def _moe_layer(hidden: int, moe: Moe, parallelism: Parallelism) -> dict[str, int]:
    inter, shared = moe.inter // parallelism.expert_tensor, moe.shared_inter // parallelism.tensor
    held = (moe.experts + parallelism.redundant) // parallelism.expert
    gate = hidden if moe.shared_gate else 0
    return {
        "router": hidden * moe.experts + (moe.experts if moe.bias else 0) + gate,
        "experts": held * feed_forward_parameters(hidden, inter, moe.gated, moe.bias),
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
        index = attention.indexer
        if index is not None:
            down += width * (index.dim + index.heads)
            up += query * index.heads * index.dim
        return down + up + heads * attention.value_dim * arch.hidden
    q_dim = heads * attention.head_dim
    qkv_dim = q_dim * (2 if attention.gated_output else 1)
    qkv_dim += 2 * local_kv_heads(attention, tensor_parallel) * attention.head_dim
    count = width * qkv_dim + q_dim * arch.hidden
    count += qkv_dim if attention.bias else 0
    count += arch.hidden if attention.output_bias else 0
    return count + (heads if attention.sinks else 0)


def _linear(hidden: int, linear: GatedDeltaNet | None, tensor_parallel: int) -> int:
    """Count projections (Q, K, V, gate; two gates per head; output), convolution, decay and step.

    The convolution has no bias (Qwen3-Next and Qwen3.5 modules of ``transformers``).
    """
    if linear is None:
        return 0
    channels = linear.conv_channels // tensor_parallel
    heads = linear.value_heads // tensor_parallel
    values = heads * linear.value_dim
    count = hidden * (channels + 2 * values + 2 * heads)
    return linear.layers * (count + channels * linear.conv_width + 2 * heads)


def _norms(arch: Architecture) -> int:
    attention = arch.attention
    per_width = 2 if arch.norm == "layer" else 1
    softmax = 0
    if attention.kind == "mla":
        softmax += attention.q_lora_rank + attention.kv_lora_rank
    if attention.indexer is not None:
        softmax += 2 * attention.indexer.dim  # a LayerNorm
    if attention.qk_norm:
        heads = attention.heads + attention.kv_heads if attention.joint_qk_norm else 2
        softmax += heads * attention.head_dim
    gated = arch.linear.layers * arch.linear.value_dim if arch.linear is not None else 0
    everywhere = (2 * arch.layers + 1) * arch.hidden * per_width
    return everywhere + arch.softmax_layers * softmax + gated


def _embedding_extras(arch: Architecture) -> int:
    count = 0
    if arch.positions == "learned":
        count += (arch.max_context_tokens + LEARNED_POSITION_PADDING) * arch.hidden
    if arch.embedding_dim != arch.hidden:
        count += 2 * arch.embedding_dim * arch.hidden
    return count
