"""Operators of one forward pass: the shapes that one GPU of a replica runs.

Per decoder layer: fused QKV projection, attention, output projection, all-reduce; then router,
routed experts and shared experts, or a dense MLP (gate and up fused), and a second all-reduce. Once
per pass: embedding, its all-reduce, final norm, LM head on the sampled tokens. All-reduces run over
the attention group (`models.parallelism`).

With one attention group every GPU sees all tokens, whether experts are split or spread: the second
all-reduce sums their shares, and nothing is dispatched. With several groups an all-gather brings
the tokens of all groups to every GPU before the routed experts, and a reduce-scatter sums the
results and returns each group its own (vLLM's ``allgather_reducescatter``, SGLang's DP attention,
TensorRT-LLM's attention DP). DeepEP's backends send a token to the GPUs of its experts only, and
its results back; of a group's tokens each of its GPUs sends a share. Shared experts and dense MLPs
stay in the group; a second all-reduce over it, if it has several GPUs, adds the shares of the
former and hands each GPU the group's tokens. Tokens travel to fp8 and nvfp4 experts in the format
these compute in, scales included (a vLLM kernel that quantises after the exchange sends bfloat16:
up to twice the bytes), and return in bfloat16. Expert numbers and gate weights, 8 bytes per expert
of a token, are left out.

With a pipeline the operators are those of all stages, one after another, as if every stage had as
many layers as the longest, with hidden states and residuals handed over in between.

Memory-bound kernels, in elements read and written per token, of 2 bytes each (bfloat16). On one
GPU: h = model width, e = embedding width, q and kv = widths of queries and of keys, i = MLP width.

========================  ======================  =======  =======================================
kernel                    elements                kernels  calls
========================  ======================  =======  =======================================
residual add and norm     4 h                     1        two per layer, and one after the last
rotary embedding          2 (q + kv)              1        layers, unless positions are learned
write to the KV cache     4 kv                    1        layers
norm of queries and keys  2 (q + kv)              2        layers, with ``qk_norm``
gate of the output        3 q                     1        layers, with ``gated_output``
gated norm                3 v                     1        layers with linear attention, v wide
activation                3 i (2 i if not gated)  1        dense MLPs, shared experts
add shared to routed      3 h                     1        layers with shared experts
gate of shared experts    3 h                     2        layers with ``shared_gate``
embedding lookup          2 e                     1        once
learned positions         5 h                     2        once: lookup and add
========================  ======================  =======  =======================================

With MLA, only the rotary parts of heads and cache entry are rotated, two low-rank norms read and
write the compressed query and the latent, and the cache write moves latent and rotary part. An
indexer adds the norm of its key (2 d, d = its width), the rotation of its queries and key, and the
quantisation of the queries (2 d per head) and of the key, which writes it to the cache (2 d). The
activation inside routed experts belongs to the experts operator, and the convolution to linear
attention, whose layers do none of the kernels of softmax attention. A norm over all heads together
sums two variances per token, in float32, over the attention group (vLLM 0.24, MiniMax-M2). The
gather of logits over the group, which concerns sampled tokens only, is left to the engine's
overhead.
"""

from __future__ import annotations

from dataclasses import replace

from simulator.models.architecture import Architecture, Attention, GatedDeltaNet, Indexer, Moe
from simulator.models.operators import (
    AllGather,
    AllReduce,
    Combine,
    Dispatch,
    Elementwise,
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    LinearAttention,
    Operator,
    ReduceScatter,
    Send,
    SparseLatentAttention,
)
from simulator.models.parallelism import (
    ALLGATHER,
    LOW_LATENCY,
    SINGLE_GPU,
    Parallelism,
    check_parallelism,
    local_kv_heads,
    local_vocab,
    stage_layers,
)
from simulator.models.parameters import UNQUANTIZED
from simulator.units import BYTES_PER_WEIGHT

ACTIVATION_BYTES = BYTES_PER_WEIGHT[UNQUANTIZED]
"""Bytes of one activation element (bfloat16)."""

DISPATCHED_BYTES = {"fp8": 1.0, "fp8_block": 1.0 + 4.0 / 128, "nvfp4": BYTES_PER_WEIGHT["nvfp4"]}
"""Bytes of one element on its way to experts of a format; of other formats, `ACTIVATION_BYTES`.

fp8_block has one fp32 scale per 128 elements of a token (DeepSeek-V3, arXiv 2412.19437, 3.3.2).
"""

JOINT_NORM_ELEMENTS = 4
"""What a group sums per token for a norm over all heads, in bf16 values: two variances in fp32."""


def forward_operators(
    arch: Architecture, parallelism: Parallelism = SINGLE_GPU
) -> tuple[Operator, ...]:
    """Return the operators of one pass over the model, in order of a layer, on one GPU.

    Parameters
    ----------
    arch
        The architecture.
    parallelism
        How the GPUs split it.

    Raises
    ------
    ConfigError
        If a size does not fit the architecture.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> for operator in forward_operators(load_architecture("mixtral_8x7b"), Parallelism(tensor=2)):
    ...     if operator.part in ("projections", "router", "experts"):
    ...         print(operator)  # doctest: +ELLIPSIS
    Gemm(part='projections', n=3072, k=4096, dtype='bfloat16', calls=32, sampled_only=False)
    Gemm(part='projections', n=4096, k=2048, dtype='bfloat16', calls=32, sampled_only=False)
    Gemm(part='router', n=8, k=4096, dtype='bfloat16', calls=32, sampled_only=False)
    Experts(experts=8, top_k=2, hidden=4096, inter=14336, tensor_parallel=2, dtype='bfloat16', ...)
    """
    check_parallelism(arch, parallelism)
    tensor, stages = parallelism.tensor, parallelism.pipeline
    if stages > 1:
        arch = replace(arch, layers=stages * stage_layers(arch.layers, stages))
    attention = _latent if arch.attention.kind == "mla" else _grouped_query
    operators = [*_embedding(arch), *attention(arch, arch.attention, tensor)]
    if arch.linear is not None:
        operators += _linear(arch, arch.linear, tensor)
    if arch.dense_layers:
        operators += _dense_mlp(arch, tensor)
    if arch.moe is not None:
        operators += _moe(arch, arch.moe, parallelism)
    norms = 2 * arch.layers + 1
    operators.append(_elementwise(elements=4 * arch.hidden, kernels=1, calls=norms))
    if tensor > 1:
        operators.append(AllReduce(arch.embedding_dim, tensor, 1))
        operators.append(AllReduce(arch.hidden, tensor, 2 * arch.layers))
    if stages > 1:  # hidden states and residuals
        operators.append(Send(2 * arch.hidden * ACTIVATION_BYTES, stages - 1))
    vocab = local_vocab(arch.vocab, tensor)
    operators.append(Gemm("lm_head", vocab, arch.embedding_dim, UNQUANTIZED, 1, sampled_only=True))
    return tuple(operators)


def _elementwise(*, elements: int, kernels: int, calls: int) -> Elementwise:
    return Elementwise(elements * ACTIVATION_BYTES, kernels, calls)


def _embedding(arch: Architecture) -> list[Operator]:
    learned = arch.positions == "learned"
    elements = 2 * arch.embedding_dim + (5 * arch.hidden if learned else 0)
    lookup = _elementwise(elements=elements, kernels=3 if learned else 1, calls=1)
    if arch.embedding_dim == arch.hidden:
        return [lookup]
    return [
        lookup,
        Gemm("projections", arch.hidden, arch.embedding_dim, UNQUANTIZED, 1),
        Gemm("projections", arch.embedding_dim, arch.hidden, UNQUANTIZED, 1),
    ]


def _grouped_query(
    arch: Architecture, attention: Attention, tensor_parallel: int
) -> list[Operator]:
    heads = attention.heads // tensor_parallel
    kv_heads = local_kv_heads(attention, tensor_parallel)
    head_dim = attention.head_dim
    q_dim, kv_dim = heads * head_dim, kv_heads * head_dim
    rotary = arch.positions == "rotary"
    elements = 4 * kv_dim + 2 * (q_dim + kv_dim) * (int(rotary) + int(attention.qk_norm))
    kernels = 1 + int(rotary) + 2 * int(attention.qk_norm)
    gate_dim = q_dim if attention.gated_output else 0
    windowed, calls = attention.windowed_layers, arch.softmax_layers
    layers = ((0, calls - windowed), (attention.window_tokens, windowed))
    width, dtype = attention.inputs * arch.hidden, arch.projection_dtype
    operators: list[Operator] = [
        Gemm("projections", q_dim + gate_dim + 2 * kv_dim, width, dtype, calls),
        _elementwise(elements=elements, kernels=kernels, calls=calls),
        *(
            GroupedQueryAttention(heads, kv_heads, head_dim, window, count, arch.kv_dtype)
            for window, count in layers
            if count
        ),
        Gemm("projections", arch.hidden, q_dim, dtype, calls),
    ]
    if gate_dim:
        operators.append(_elementwise(elements=3 * gate_dim, kernels=1, calls=calls))
    if attention.joint_qk_norm and tensor_parallel > 1:
        operators.append(AllReduce(JOINT_NORM_ELEMENTS, tensor_parallel, calls))
    return operators


def _latent(arch: Architecture, attention: Attention, tensor_parallel: int) -> list[Operator]:
    """MLA in its absorbed form: the KV up-projection is part of `LatentAttention`."""
    heads, calls = attention.heads // tensor_parallel, arch.softmax_layers
    latent, rope, query = attention.kv_lora_rank, attention.rope_dim, attention.q_lora_rank
    nope, value = attention.nope_dim, attention.value_dim
    width, dtype = attention.inputs * arch.hidden, arch.projection_dtype
    elements = 2 * (query + latent) + 2 * (heads + 1) * rope + 2 * (latent + rope)
    kernels = 4 if query else 3
    operators: list[Operator] = [
        # Both down-projections read the same input, so engines fuse them; they are not split.
        Gemm("projections", query + latent + rope, width, dtype, calls),
        Gemm("projections", heads * (nope + rope), query or width, dtype, calls),
        _elementwise(elements=elements, kernels=kernels, calls=calls),
    ]
    dims, index = (heads, latent, rope, nope, value), attention.indexer
    if index is None:
        operators.append(LatentAttention(*dims, calls, arch.kv_dtype))
    else:
        operators += _indexer(arch, index)
        sparse = *dims, index.heads, index.dim, index.top_k
        operators.append(SparseLatentAttention(*sparse, calls, arch.kv_dtype))
    return [*operators, Gemm("projections", arch.hidden, heads * value, dtype, calls)]


def _indexer(arch: Architecture, index: Indexer) -> list[Operator]:
    """Project the compressed query to index queries, the hidden state to a key and head weights."""
    attention, dtype, calls = arch.attention, arch.projection_dtype, arch.softmax_layers
    width = attention.inputs * arch.hidden
    rotated = 2 * (index.heads + 1) * attention.rope_dim
    elements = 2 * index.dim + rotated + 2 * (index.heads + 1) * index.dim
    return [
        Gemm("projections", index.heads * index.dim, attention.q_lora_rank, dtype, calls),
        Gemm("projections", index.dim, width, dtype, calls),
        Gemm("projections", index.heads, width, UNQUANTIZED, calls),
        _elementwise(elements=elements, kernels=4, calls=calls),
    ]


def _linear(arch: Architecture, linear: GatedDeltaNet, tensor_parallel: int) -> list[Operator]:
    key_heads, value_heads = (
        heads // tensor_parallel for heads in (linear.key_heads, linear.value_heads)
    )
    keys, values = key_heads * linear.key_dim, value_heads * linear.value_dim
    dtype, calls = arch.projection_dtype, linear.layers
    dims = linear.key_dim, linear.value_dim, linear.conv_width
    return [
        Gemm("projections", 2 * keys + 2 * values, arch.hidden, dtype, calls),
        # Decay and step of every head: two columns each, too narrow to quantise.
        Gemm("projections", 2 * value_heads, arch.hidden, UNQUANTIZED, calls),
        LinearAttention(key_heads, value_heads, *dims, calls),
        _elementwise(elements=3 * values, kernels=1, calls=calls),
        Gemm("projections", arch.hidden, values, dtype, calls),
    ]


def _dense_mlp(arch: Architecture, tensor_parallel: int) -> list[Operator]:
    inter = arch.mlp_inter // tensor_parallel
    return [
        *_two_products("mlp", arch, inter, arch.gated, arch.dense_layers),
        _elementwise(elements=(3 if arch.gated else 2) * inter, kernels=1, calls=arch.dense_layers),
    ]


def _two_products(part: str, arch: Architecture, inter: int, gated: bool, calls: int) -> list[Gemm]:
    columns = (2 if gated else 1) * inter
    return [
        Gemm(part, columns, arch.hidden, arch.dtype, calls),
        Gemm(part, arch.hidden, inter, arch.dtype, calls),
    ]


def _moe(arch: Architecture, moe: Moe, parallelism: Parallelism) -> list[Operator]:
    hidden, calls = arch.hidden, arch.moe_layers
    operators: list[Operator] = [
        Gemm("router", moe.experts, hidden, UNQUANTIZED, calls),
        Experts(
            experts=moe.experts,
            top_k=moe.top_k,
            hidden=hidden,
            inter=moe.inter,
            tensor_parallel=parallelism.expert_tensor,
            dtype=arch.expert_dtype,
            calls=calls,
            gated=moe.gated,
            expert_parallel=parallelism.expert,
            redundant=parallelism.redundant,
            masked=parallelism.all2all_backend == LOW_LATENCY,
        ),
    ]
    if parallelism.data > 1:
        operators += _exchange(arch, moe, parallelism)
    if moe.shared_inter:
        inter = moe.shared_inter // parallelism.tensor
        elements = (3 if moe.gated else 2) * inter + 3 * hidden * (2 if moe.shared_gate else 1)
        kernels = 4 if moe.shared_gate else 2
        operators += _two_products("shared_experts", arch, inter, moe.gated, calls)
        operators.append(_elementwise(elements=elements, kernels=kernels, calls=calls))
    return operators


def _exchange(arch: Architecture, moe: Moe, parallelism: Parallelism) -> list[Operator]:
    """Return what takes tokens to the experts, and their results back."""
    gpus, calls = parallelism.stage_gpus, arch.moe_layers
    there = DISPATCHED_BYTES.get(arch.expert_dtype, ACTIVATION_BYTES) * arch.hidden
    back = ACTIVATION_BYTES * arch.hidden
    backend = parallelism.all2all_backend
    if backend == ALLGATHER:
        return [AllGather(there, gpus, calls), ReduceScatter(back, gpus, calls)]
    routed = (arch.hidden, moe.top_k, moe.experts + parallelism.redundant, gpus, calls)
    return [Dispatch(backend, there, *routed), Combine(backend, back, *routed)]
