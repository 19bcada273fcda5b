"""What a kernel costs where nobody measured it: the roofline of its GPU, with stated efficiencies.

::

    T = t0 + max(bytes / (eta_bandwidth x memory bandwidth), FLOPs / (eta_compute x peak))

The constants stand in ``hardware_specs/kernel_tables/roofline.yaml``, one set per operator, with
their sources. Every time from here is ``"assumed"``. Products and experts compute at the peak of
their weights' format, attention at that of bfloat16, whatever the format of the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from simulator.errors import TableError, unknown
from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.fits import ExpertShape
from simulator.kernels.schema import PACKAGE
from simulator.kernels.timing import Timing
from simulator.quantities import Quantity, read_data, read_quantities
from simulator.units import BYTES_PER_WEIGHT

_HEAD_DIM = 128
"""Width of keys without rotation, and of values, of latent attention (DeepSeek-V2/V3)."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """Constants of one operator's roofline.

    Parameters
    ----------
    t0_s
        Time of a call that moves and computes nothing, s.
    eta_bandwidth, eta_compute
        Shares of peak memory bandwidth and of peak FLOP/s that its kernels reach.
    provenance
        The figures as they stand in the data file.
    """

    t0_s: float
    eta_bandwidth: float
    eta_compute: float
    provenance: dict[str, Quantity]

    def at(self, size_bytes: float, flops: float, gpu: Gpu, dtype: str = "bfloat16") -> Timing:
        """Return the time to move so many bytes and compute so many FLOPs in a format."""
        memory = size_bytes / (self.eta_bandwidth * gpu.memory_bandwidth)
        compute = flops / (self.eta_compute * gpu.peak(dtype))
        return Timing(self.t0_s + max(memory, compute), "assumed")


@cache
def load_roofline(operator: str) -> Roofline:
    """Return the constants of one operator.

    Raises
    ------
    TableError
        If there are none, or a figure lacks its source.

    Examples
    --------
    >>> load_roofline("decode_attention").eta_bandwidth
    0.88
    """
    data = read_data(PACKAGE, "roofline", "data file")
    if operator not in data:
        raise TableError(unknown("operator", operator, data, "roofline.yaml"))
    found = read_quantities(
        data[operator], f"hardware_specs/kernel_tables/roofline.yaml: {operator}"
    )
    t0, bandwidth, compute = (found[key].value for key in ("t0", "eta_bandwidth", "eta_compute"))
    return Roofline(t0, bandwidth, compute, found)


def causal_pairs(start: float, end: float, window: int = 0) -> float:
    """Return the pairs of query and key when the tokens from ``start`` to ``end`` are prefilled.

    Examples
    --------
    >>> causal_pairs(0, 4), causal_pairs(4, 8)
    (8.0, 24.0)
    """
    first, last = work.causal_pairs(np.array([start, end]), np.full(2, float(window)))
    return float(last - first)


class AssumedGemm:
    """Dense products: weights are read, activations read and written, each once."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._roofline = gpu, load_roofline("gemm")

    def at(self, m: float, n: int, k: int, dtype: str) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.gemm`."""
        size, flops = work.gemm_bytes(m, n, k, dtype), work.gemm_flops(m, n, k)
        return self._roofline.at(size, flops, self._gpu, dtype)


class AssumedExperts:
    """Routed experts of one layer: the weights of the distinct active ones are read once.

    ``bytes = N x expert bytes + activation bytes``, FLOPs are those of all pairs of token and
    expert, N distinct experts touched on this GPU.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._roofline = gpu, load_roofline("experts")

    def at(self, tokens: float, active: float, shape: ExpertShape, dtype: str) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.experts`."""
        matrices, hidden, inter = shape.matrices, shape.hidden, shape.inter
        split, local = shape.tensor_parallel, tokens / shape.expert_parallel
        size = active * work.expert_bytes(hidden, inter, matrices, split, dtype)
        size += work.expert_activation_bytes(local, hidden, inter, matrices, split, shape.top_k)
        flops = work.expert_flops(local, hidden, inter, matrices, split, shape.top_k)
        return self._roofline.at(size, flops, self._gpu, dtype)

    def has(self, shape: ExpertShape, dtype: str) -> bool:
        """Tell that no shape was measured."""
        del shape, dtype
        return False


class AssumedDecode:
    """Attention of few query tokens per request over its cache, which is read once."""

    def __init__(self, gpu: Gpu, kv_dtype: str = "bfloat16") -> None:
        self._gpu, self._roofline = gpu, load_roofline("decode_attention")
        self._value_bytes = BYTES_PER_WEIGHT[kv_dtype]

    def at(
        self,
        batch: float,
        context: float,
        queries: float,
        heads: int,
        kv_heads: int,
        head_dim: int,
        window: int,
    ) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.decode_attention`."""
        span = min(context, window) if window else context
        size = work.cache_bytes(batch, span, kv_heads, head_dim, self._value_bytes)
        flops = work.attention_flops(batch * queries * span, heads, head_dim)
        return self._roofline.at(size, flops, self._gpu)


class AssumedPrefill:
    """Causal attention of one request's prompt."""

    def __init__(self, gpu: Gpu, kv_dtype: str = "bfloat16") -> None:
        self._gpu, self._roofline = gpu, load_roofline("prefill_attention")
        self._value_bytes = BYTES_PER_WEIGHT[kv_dtype]

    def at(
        self, start: float, end: float, heads: int, kv_heads: int, head_dim: int, window: int
    ) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.prefill_attention`."""
        pairs = causal_pairs(start, end, window)
        size = work.cache_bytes(1.0, end, kv_heads, head_dim, self._value_bytes)
        size += 2 * work.ACTIVATION_BYTES * (end - start) * heads * head_dim
        flops = work.attention_flops(pairs, heads, head_dim)
        return self._roofline.at(size, flops, self._gpu)


class AssumedLatentDecode:
    """Absorbed latent attention over the cache, without the absorb products."""

    def __init__(self, gpu: Gpu, kv_dtype: str = "bfloat16") -> None:
        self._gpu, self._roofline = gpu, load_roofline("latent_decode")
        self._value_bytes = BYTES_PER_WEIGHT[kv_dtype]

    def at(self, batch: float, context: float, query_heads: float) -> Timing:
        """Return the time of ``query_heads`` heads times query tokens per request."""
        size = work.latent_cache_bytes(batch, context, self._value_bytes)
        return self._roofline.at(size, work.latent_flops(batch * context, query_heads), self._gpu)


class AssumedAbsorb:
    """The two batched products around absorbed decode."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._roofline = gpu, load_roofline("latent_absorb")

    def at(self, heads: int, tokens: float) -> tuple[Timing, Timing]:
        """Return the times of the product before attention and of that after it."""
        weights = heads * work.LATENT_DIM * _HEAD_DIM
        moved = tokens * heads * (work.LATENT_DIM + _HEAD_DIM)
        size = work.ACTIVATION_BYTES * (weights + moved)
        one = self._roofline.at(size, 2 * tokens * weights, self._gpu)
        return one, one


class AssumedLatentPrefill:
    """Unabsorbed latent attention of a prompt."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._roofline = gpu, load_roofline("prefill_attention")

    def at(self, start: float, end: float, heads: int) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.latent_prefill_attention`."""
        width = 2 * _HEAD_DIM + work.ROPE_DIM  # of a key and a value
        size = work.ACTIVATION_BYTES * (2 * end - start) * heads * width
        flops = 2 * causal_pairs(start, end) * heads * width
        return self._roofline.at(size, flops, self._gpu)
