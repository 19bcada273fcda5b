"""What the operators of a step compute and move, against the peaks of their GPU."""

from __future__ import annotations

from typing import NamedTuple

from simulator.costs.step import StepShape
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
from simulator.units import BYTES_PER_WEIGHT


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


def operator_work(
    operator: Operator, shape: StepShape, active_experts: float, gpu: Gpu
) -> Work | None:
    """Count what an operator computes and moves in a step without prefill, all calls.

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
    shape
        Requests, query tokens and context that the operator sees.
    active_experts
        Distinct experts that the step activates in a layer.
    gpu
        For its peaks.

    Returns
    -------
    Work or None
        None for what does not compute: collectives and elementwise kernels.
    """
    tokens, context = shape.tokens, int(shape.context_tokens)
    dtype = UNQUANTIZED
    match operator:
        case Gemm(n=n, k=k):
            dtype = operator.dtype
            moved = n * k * BYTES_PER_WEIGHT[dtype] + work.ACTIVATION_BYTES * tokens * (n + k)
        case Experts(hidden=hidden, inter=inter, tensor_parallel=split, expert_parallel=spread):
            dtype, matrices = operator.dtype, 3 if operator.gated else 2
            moved = active_experts * work.expert_bytes(hidden, inter, matrices, split, dtype)
            moved += work.expert_activation_bytes(
                tokens, hidden, inter, matrices, split, operator.top_k
            )
            moved /= spread
        case GroupedQueryAttention(head_dim=width):
            span = min(context, operator.window or context)
            moved = work.cache_bytes(shape.decode_requests, span, operator.kv_heads, width)
            moved += work.ACTIVATION_BYTES * tokens * 2 * operator.heads * width
        case LatentAttention():
            moved = work.latent_cache_bytes(shape.decode_requests, context)
            moved += work.ACTIVATION_BYTES * operator.heads * _absorbed_elements(operator, tokens)
        case _:
            return None
    flops, moved = tokens * operator_flops(operator, context), moved * operator.calls
    return Work(flops, moved, flops / gpu.peak(dtype), moved / gpu.memory_bandwidth)


def _absorbed_elements(operator: LatentAttention, tokens: float) -> float:
    """Return elements per head that absorbed attention moves beside the cache.

    Weights ``latent (nope + value)``; per token the query in head space (nope + rope) is read, its
    latent form (latent) written and read, the latent result written and read, the output (value)
    written.
    """
    weights = operator.latent_dim * (operator.nope_dim + operator.value_dim)
    heads = operator.nope_dim + operator.rope_dim + operator.value_dim
    return weights + tokens * (heads + 4 * operator.latent_dim)
