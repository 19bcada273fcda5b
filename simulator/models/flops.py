"""Floating-point work of operators and of one token, two FLOP per multiply-add."""

from __future__ import annotations

from simulator.models.architecture import Architecture
from simulator.models.forward import forward_operators
from simulator.models.operators import (
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    LinearAttention,
    Operator,
    SparseLatentAttention,
)


def operator_flops(operator: Operator, context_tokens: int = 0) -> float:
    """Return the FLOPs that one token costs in an operator on one GPU, all calls.

    Parameters
    ----------
    operator
        A shape of `forward_operators`. Memory-bound kernels and collectives count as none. Experts
        that are spread over GPUs count at the mean of those.
    context_tokens
        Cached tokens that the token attends to. A window bounds them.
    """
    work: float
    match operator:
        case Gemm():
            work = 2 * operator.n * operator.k
        case Experts():
            matrices = 3 if operator.gated else 2
            expert = matrices * operator.hidden * operator.inter / operator.tensor_parallel
            work = 2 * operator.top_k * expert / operator.expert_parallel
        case GroupedQueryAttention():
            attended = min(context_tokens, operator.window or context_tokens)
            work = 4 * operator.heads * operator.head_dim * attended
        case LatentAttention():
            work = _latent(operator, context_tokens)
        case SparseLatentAttention():
            work = _latent(operator, min(context_tokens, operator.top_k))
            work += 2 * operator.index_heads * operator.index_dim * context_tokens
        case LinearAttention():
            work = _delta_rule(operator)
        case _:
            return 0.0
    return float(work * operator.calls)


def _latent(operator: LatentAttention | SparseLatentAttention, attended_tokens: int) -> int:
    absorbed = operator.latent_dim * (operator.nope_dim + operator.value_dim)
    attended = attended_tokens * (2 * operator.latent_dim + operator.rope_dim)
    return 2 * operator.heads * (absorbed + attended)


def _delta_rule(operator: LinearAttention) -> int:
    """Per element of the state: decay 1, read by key 2, update 2, read by query 2 (recurrent)."""
    state = operator.value_heads * operator.key_dim * operator.value_dim
    channels = 2 * operator.key_heads * operator.key_dim + operator.value_heads * operator.value_dim
    return 7 * state + 2 * operator.conv_width * channels


def flops_per_token(arch: Architecture, context_tokens: int = 0) -> float:
    """Return the FLOPs of one decoded token, its logits included, over the whole model.

    About two per active parameter, embedding lookup aside, plus attention: per head
    ``4 head_dim context`` with grouped queries, and ``2 (2 latent + rope) context`` with MLA, which
    decodes in absorbed form (DeepSeek-V2, arXiv 2405.04434, 2.1). Sparse attention bounds the
    context by its top-k, but its indexer adds ``2 index_heads index_dim context``. Linear attention
    adds 7 per element of its state, whatever the context.

    Parameters
    ----------
    arch
        The architecture.
    context_tokens
        Tokens in the KV cache that the token attends to.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> round(flops_per_token(load_architecture("llama_3_1_8b")) / 1e9, 2)
    15.01
    """
    return sum(operator_flops(operator, context_tokens) for operator in forward_operators(arch))
