"""What the operators of a step compute and move, against the peaks of their GPU."""

from __future__ import annotations

from typing import NamedTuple

from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.models.flops import operator_flops
from simulator.models.operators import (
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    Operator,
)
from simulator.models.parameters import UNQUANTIZED


class Work(NamedTuple):
    """What kernels compute and move on one GPU, and how long its peaks take for each.

    Parameters
    ----------
    flops, moved_bytes
        FLOP, and bytes between memory and the chip: weights, cache and activations, each once.
    compute_s, memory_s
        FLOPs over the tensor-core peak of their format, and bytes over the peak bandwidth.
    """

    flops: float = 0.0
    moved_bytes: float = 0.0
    compute_s: float = 0.0
    memory_s: float = 0.0

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, FLOP per byte moved."""
        return self.flops / self.moved_bytes

    @property
    def ridge(self) -> float:
        """Intensity at which the peaks take equally long for compute and memory, FLOP/byte."""
        return self.intensity * self.memory_s / self.compute_s

    @property
    def bound(self) -> str:
        """``"compute"`` above the ridge point, else ``"memory"``."""
        return "compute" if self.compute_s > self.memory_s else "memory"


class Load(NamedTuple):
    """What an operator of one GPU has to deal with in a pass without prompts.

    Parameters
    ----------
    tokens
        Tokens that enter.
    requests, context_tokens
        Requests whose caches are read, and their mean cache length; attention only.
    active_experts
        Distinct experts that a layer activates, over all GPUs; routed experts only.
    """

    tokens: float
    requests: float = 0.0
    context_tokens: float = 0.0
    active_experts: float = 0.0


def operator_work(operator: Operator, load: Load, gpu: Gpu) -> Work | None:
    """Count what an operator computes and moves in a pass without prompts, all calls.

    FLOPs are those of `operator_flops`, for every token. Bytes of a call, activations in bfloat16:

    - product ``[m, k] x [k, n]``: weights ``k n``, input ``m k``, output ``m n``;
    - routed experts: weights of the N *active* experts, activations of ``t K`` pairs, both over
      the GPUs that experts are spread over;
    - grouped-query attention: the cache (up to its window) once per request, queries, outputs;
    - latent attention: the latent cache once per request, the absorbed up-projection, queries and
      outputs in head and in latent space.

    Parameters
    ----------
    operator
        A shape on one GPU.
    load
        What it has to deal with.
    gpu
        For its peaks.

    Returns
    -------
    Work or None
        None for what does not compute (collectives and elementwise kernels), and for sparse and
        linear attention, whose bytes are not counted here.
    """
    tokens, context = load.tokens, int(load.context_tokens)
    dtype = UNQUANTIZED
    match operator:
        case Gemm(n=n, k=k):
            dtype = operator.dtype
            moved = work.gemm_bytes(tokens, n, k, dtype)
        case Experts(hidden=hidden, inter=inter, tensor_parallel=split, expert_parallel=spread):
            dtype, matrices = operator.dtype, 3 if operator.gated else 2
            moved = load.active_experts * work.expert_bytes(hidden, inter, matrices, split, dtype)
            moved += work.expert_activation_bytes(
                tokens, hidden, inter, matrices, split, operator.top_k
            )
            moved /= spread
        case GroupedQueryAttention(head_dim=width):
            span = min(context, operator.window or context)
            moved = work.cache_bytes(load.requests, span, operator.kv_heads, width)
            moved += work.ACTIVATION_BYTES * tokens * 2 * operator.heads * width
        case LatentAttention():
            moved = work.latent_cache_bytes(load.requests, context)
            moved += work.ACTIVATION_BYTES * operator.heads * _absorbed_elements(operator, tokens)
        case _:
            return None
    flops, moved = tokens * operator_flops(operator, context), moved * operator.calls
    return Work(flops, moved, flops / gpu.peak(dtype), moved / gpu.memory_bandwidth)


def prompt_work(
    operator: Operator, start_tokens: float, end_tokens: float, gpu: Gpu
) -> Work | None:
    """Count what attention computes and moves over one request's prompt chunk ``[start, end)``.

    Every token attends to those before it (up to the window); the cache so far is read once,
    queries and outputs of the chunk once.

    Returns
    -------
    Work or None
        None for all but grouped-query and latent attention.
    """
    tokens, mean_tokens = end_tokens - start_tokens, (start_tokens + end_tokens) / 2
    reads = end_tokens / mean_tokens  # of a cache of the mean length
    return operator_work(operator, Load(tokens, reads, mean_tokens), gpu)


def _absorbed_elements(operator: LatentAttention, tokens: float) -> float:
    """Return elements per head that absorbed attention moves beside the cache.

    Weights ``latent (nope + value)``; per token the query in head space (nope + rope) is read, its
    latent form (latent) written and read, the latent result written and read, the output (value)
    written.
    """
    weights = operator.latent_dim * (operator.nope_dim + operator.value_dim)
    heads = operator.nope_dim + operator.rope_dim + operator.value_dim
    return weights + tokens * (heads + 4 * operator.latent_dim)
