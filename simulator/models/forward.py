"""Operators of one forward pass: the shapes that one GPU of a tensor-parallel group runs.

Per decoder layer: fused QKV projection, attention, output projection, all-reduce; then router,
routed experts and shared experts, or a dense MLP (gate and up fused), and a second all-reduce. Once
per pass: embedding, its all-reduce, final norm, LM head on the sampled tokens.

Memory-bound kernels, in elements read and written per token, of 2 bytes each (bfloat16). On one
GPU: h = model width, e = embedding width, q and kv = widths of queries and of keys, i = MLP width.

========================  ======================  =======  =======================================
kernel                    elements                kernels  calls
========================  ======================  =======  =======================================
residual add and norm     4 h                     1        two per layer, and one after the last
rotary embedding          2 (q + kv)              1        layers, unless positions are learned
write to the KV cache     4 kv                    1        layers
norm of queries and keys  2 (q + kv)              2        layers, with ``qk_norm``
activation                3 i (2 i if not gated)  1        dense MLPs, shared experts
add shared to routed      3 h                     1        layers with shared experts
gate of shared experts    3 h                     2        layers with ``shared_gate``
embedding lookup          2 e                     1        once
learned positions         5 h                     2        once: lookup and add
========================  ======================  =======  =======================================

With MLA, only the rotary parts of heads and cache entry are rotated, two low-rank norms read and
write the compressed query and the latent, and the cache write moves latent and rotary part. The
activation inside routed experts belongs to the experts operator. The gather of logits over the
group, which concerns sampled tokens only, is left to the engine's overhead.
"""

from __future__ import annotations

from simulator.models.architecture import Architecture, Attention, Moe
from simulator.models.operators import (
    AllReduce,
    Elementwise,
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    Operator,
)
from simulator.models.parallelism import check_parallelism, local_kv_heads, local_vocab
from simulator.models.parameters import UNQUANTIZED
from simulator.units import BYTES_PER_WEIGHT

ACTIVATION_BYTES = BYTES_PER_WEIGHT[UNQUANTIZED]
"""Bytes of one activation element (bfloat16)."""


def forward_operators(arch: Architecture, tensor_parallel: int = 1) -> tuple[Operator, ...]:
    """Return the operators of one pass over the model, in order of a layer, on one GPU.

    Parameters
    ----------
    arch
        The architecture.
    tensor_parallel
        GPUs that share the model.

    Raises
    ------
    ConfigError
        If the group size does not divide the architecture.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> for operator in forward_operators(load_architecture("mixtral_8x7b"), 2):
    ...     if operator.part in ("projections", "router", "experts"):
    ...         print(operator)  # doctest: +ELLIPSIS
    Gemm(part='projections', n=3072, k=4096, dtype='bfloat16', calls=32, sampled_only=False)
    Gemm(part='projections', n=4096, k=2048, dtype='bfloat16', calls=32, sampled_only=False)
    Gemm(part='router', n=8, k=4096, dtype='bfloat16', calls=32, sampled_only=False)
    Experts(experts=8, top_k=2, hidden=4096, inter=14336, tensor_parallel=2, dtype='bfloat16', ...)
    """
    check_parallelism(arch, tensor_parallel)
    attention = _latent if arch.attention.kind == "mla" else _grouped_query
    operators = [*_embedding(arch), *attention(arch, arch.attention, tensor_parallel)]
    if arch.dense_layers:
        operators += _dense_mlp(arch, tensor_parallel)
    if arch.moe is not None:
        operators += _moe(arch, arch.moe, tensor_parallel)
    norms = 2 * arch.layers + 1
    operators.append(_elementwise(elements=4 * arch.hidden, kernels=1, calls=norms))
    if tensor_parallel > 1:
        operators.append(AllReduce(arch.embedding_dim, tensor_parallel, 1))
        operators.append(AllReduce(arch.hidden, tensor_parallel, 2 * arch.layers))
    vocab = local_vocab(arch.vocab, tensor_parallel)
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
    windowed = attention.windowed_layers
    layers = ((0, arch.layers - windowed), (attention.window_tokens, windowed))
    width = attention.inputs * arch.hidden
    return [
        Gemm("projections", q_dim + 2 * kv_dim, width, arch.dtype, arch.layers),
        _elementwise(elements=elements, kernels=kernels, calls=arch.layers),
        *(
            GroupedQueryAttention(heads, kv_heads, head_dim, window, calls)
            for window, calls in layers
            if calls
        ),
        Gemm("projections", arch.hidden, q_dim, arch.dtype, arch.layers),
    ]


def _latent(arch: Architecture, attention: Attention, tensor_parallel: int) -> list[Operator]:
    """MLA in its absorbed form: the KV up-projection is part of `LatentAttention`."""
    heads = attention.heads // tensor_parallel
    latent, rope, query = attention.kv_lora_rank, attention.rope_dim, attention.q_lora_rank
    width = attention.inputs * arch.hidden
    q_dim = heads * (attention.nope_dim + rope)
    # Both down-projections read the same input, so engines fuse them; they are not split.
    down = Gemm("projections", query + latent + rope, width, arch.dtype, arch.layers)
    up = Gemm("projections", q_dim, query or width, arch.dtype, arch.layers)
    elements = 2 * (query + latent) + 2 * (heads + 1) * rope + 2 * (latent + rope)
    kernels = 4 if query else 3
    return [
        down,
        up,
        _elementwise(elements=elements, kernels=kernels, calls=arch.layers),
        LatentAttention(heads, latent, rope, attention.nope_dim, attention.value_dim, arch.layers),
        Gemm("projections", arch.hidden, heads * attention.value_dim, arch.dtype, arch.layers),
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


def _moe(arch: Architecture, moe: Moe, tensor_parallel: int) -> list[Operator]:
    hidden, calls = arch.hidden, arch.moe_layers
    operators: list[Operator] = [
        Gemm("router", moe.experts, hidden, UNQUANTIZED, calls),
        Experts(
            experts=moe.experts,
            top_k=moe.top_k,
            hidden=hidden,
            inter=moe.inter,
            tensor_parallel=tensor_parallel,
            dtype=arch.expert_dtype,
            calls=calls,
            gated=moe.gated,
        ),
    ]
    if moe.shared_inter:
        inter = moe.shared_inter // tensor_parallel
        elements = (3 if moe.gated else 2) * inter + 3 * hidden * (2 if moe.shared_gate else 1)
        kernels = 4 if moe.shared_gate else 2
        operators += _two_products("shared_experts", arch, inter, moe.gated, calls)
        operators.append(_elementwise(elements=elements, kernels=kernels, calls=calls))
    return operators
