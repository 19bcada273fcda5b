"""Attention modules of DeepSeek sparse attention, as measured whole, and what they are made of.

A module is a layer's attention from hidden state to hidden state: down-projections, queries up,
indexer, choice of the best tokens, absorb products, attention to the chosen tokens, norms, rotation
and cache writes in between, output projection. A model prices its projections and small kernels on
their own, so these are taken out again: the products at the times that the GPU's tables give them,
the small kernels as `SMALL_KERNELS_S`. The two together with what is left add up to the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.gpu import Gpu
from simulator.kernels.loggrid import Array, LogGrid, grid_of
from simulator.kernels.roofline import causal_pairs
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker
from simulator.kernels.work import ACTIVATION_BYTES

INDEX_BYTES = 1
"""Bytes per element of an index key: fp8, whatever the format of the cache."""

SMALL_KERNELS_S = 8 * 3e-6
"""Time of the norms, rotations and cache writes in a module: eight kernels, as `models.forward`
counts them, at the launch time that `hardware_specs/engines` gives for each."""

PLATEAU, SHORTEST = 1.25, 5
"""Prompts up to the last that takes at most 1.25 times the median of the five shortest waited for
the host: modules were launched kernel by kernel."""

BEYOND_PROMPT = 1.3
"""Growth of time beyond the longest prompt. Measured: 1.2 from 16 Ki to 32 Ki tokens (vLLM, GLM-5);
longer prompts by 1.3, from the slope over earlier tokens (SGLang, chunks of 4 Ki, GLM-5)."""

Flags = NDArray[np.bool_]

Product = Callable[[float, int, int], Timing]
"""Time of ``[m, k] x [k, n]`` in bfloat16, from m, n and k."""


@dataclass(frozen=True, slots=True)
class SparseShape:
    """Sparse latent attention of one layer on one GPU.

    Parameters
    ----------
    heads
        Query heads on this GPU.
    nope_dim, value_dim
        Head widths without rotation, and of the values.
    index_heads, index_dim
        Index query heads, whole on every GPU, and their width.
    top_k
        Cached tokens that a query token attends to.
    latent_dim, rope_dim
        Widths of the latent cache entry and of its rotary part.
    """

    heads: int
    nope_dim: int
    value_dim: int
    index_heads: int
    index_dim: int = 128
    top_k: int = 2048
    latent_dim: int = 512
    rope_dim: int = 64


@dataclass(frozen=True, slots=True)
class Module:
    """A measured module: its shape, heads apart, and the widths around it."""

    hidden: int
    query_rank: int
    shape: SparseShape

    def products(self, heads: int) -> list[tuple[int, int]]:
        """Return n and k of its products: down, queries up, the indexer's three, output."""
        shape = self.shape
        return [
            (self.query_rank + shape.latent_dim + shape.rope_dim, self.hidden),
            (heads * (shape.nope_dim + shape.rope_dim), self.query_rank),
            (shape.index_heads * shape.index_dim, self.query_rank),
            (shape.index_dim, self.hidden),
            (shape.index_heads, self.hidden),
            (self.hidden, heads * shape.value_dim),
        ]


MODULES = {
    "DeepseekV32ForCausalLM": Module(7168, 1536, SparseShape(128, 128, 128, 64)),
    "GlmMoeDsaForCausalLM": Module(6144, 2048, SparseShape(64, 192, 256, 32)),
}
"""Measured modules by architecture: config.json of deepseek-ai/DeepSeek-V3.2 and zai-org/GLM-5."""


def measured_architectures(rows: Rows | None) -> tuple[str, ...]:
    """Return the architectures that rows hold."""
    return () if rows is None else tuple(np.unique(rows["architecture"]).tolist())


def architecture_of(shape: SparseShape, names: Iterable[str]) -> str | None:
    """Return the one of the named architectures that has a shape, whatever its heads."""
    for name in names:
        if replace(MODULES[name].shape, heads=shape.heads) == shape:
            return name
    return None


def rows_of(rows: Rows, architecture: str) -> Rows:
    """Return the rows of one architecture."""
    keep = rows["architecture"] == architecture
    return {name: column[keep] for name, column in rows.items()}


class DecodeModule:
    """A module over one new token per request: whole, and without what is priced elsewhere.

    Where a batch was not measured at a context (it did not fit into memory), time is carried on
    along the context: as it grows at the largest measured batch, in proportion to the batch, up to
    the first context beyond the top k; from there on by the least measured growth per request and
    token, that of the index keys. On tables that are complete this is off by 4 to 15 % in the
    median, at most by a factor of 2.2, and it is marked as assumed.
    """

    def __init__(
        self, gpu: Gpu, rows: Rows, module: Module, product: Product, cache_bytes: float
    ) -> None:
        columns = [rows[name] for name in ("heads", "context", "batch")]
        axes, measured = grid_of(columns, rows["seconds"])
        _, contexts, batches = self._axes = axes
        top_k = module.shape.top_k
        whole = np.stack([carried_on(one, contexts, batches, top_k) for one in measured])
        rest = np.empty_like(whole)
        for i, heads in enumerate(axes[0].astype(int).tolist()):
            shape = replace(module.shape, heads=heads)
            for k, batch in enumerate(batches.tolist()):
                others = _products_s(product, module, heads, batch) + SMALL_KERNELS_S
                for j, context in enumerate(contexts.tolist()):
                    work = decode_work(batch, context, 1, shape, cache_bytes)
                    least = _bound(work, gpu)
                    rest[i, j, k] = np.maximum(whole[i, j, k] - others, least)
        self._assumed: Flags = np.any(np.isnan(measured) & ~np.isnan(whole), axis=0)
        self._whole = LogGrid(axes, whole, (1.0, 1.0, 1.0))
        self._rest = LogGrid(axes, rest, (1.0, 1.0, 1.0))

    def whole(self, heads: int, context: float, batch: float) -> Timing:
        """Return the time of the module, measured."""
        timing = self._whole.at(heads, context, batch)
        return Timing(timing.seconds, weaker(timing.kind, self._kind(context, batch)))

    def rest(self, heads: int, context: float, batch: float) -> Timing:
        """Return the time of index scores, choice, absorb products and attention."""
        timing = self._rest.at(heads, context, batch)
        kind = weaker(self._kind(context, batch), "fitted")
        return Timing(timing.seconds, weaker(timing.kind, kind))

    def _kind(self, context: float, batch: float) -> str:
        j, k = (
            min(int(np.searchsorted(axis, value)), len(axis) - 1)
            for axis, value in zip(self._axes[1:], (context, batch), strict=True)
        )
        return "assumed" if self._assumed[j, k] else "measured"


def carried_on(measured: Array, contexts: Array, batches: Array, top_k: int) -> Array:
    """Fill a grid of contexts and batches beyond the largest batch that each context has.

    Parameters
    ----------
    measured
        Times, s, ``[contexts, batches]``; NaN where nothing was measured.
    contexts, batches
        Its axes.
    top_k
        Context beyond which only index scores grow.

    Returns
    -------
    float64[contexts, batches]
        Holes between measured batches stay.
    """
    filled = measured.copy()
    last = [int(np.flatnonzero(~np.isnan(row)).max(initial=0)) for row in measured]
    first = min(int(np.searchsorted(contexts, top_k, side="right")), len(contexts) - 1)
    slopes = [
        (measured[j, last[j]] - measured[first, last[j]])
        / (batches[last[j]] * (contexts[j] - contexts[first]))
        for j in range(first + 1, len(contexts))
    ]
    slope = max(float(np.nanmin(slopes)), 0.0) if slopes else 0.0
    for j in range(1, len(contexts)):
        beyond = slice(last[j] + 1, None)
        if j <= first:
            each = (measured[j, last[j]] - filled[j - 1, last[j]]) / batches[last[j]]
        else:
            each = slope * (contexts[j] - contexts[j - 1])
        filled[j, beyond] = filled[j - 1, beyond] + max(each, 0.0) * batches[beyond]
    return filled


class PrefillModule:
    """A module over one whole prompt, without what is priced elsewhere.

    Short prompts waited for the host (`PLATEAU`): kernels ran for less than the row says. They
    are taken to run for no more than longer prompts, and for no more than their share of the first
    prompt that did not wait.
    """

    def __init__(self, gpu: Gpu, rows: Rows, module: Module, product: Product) -> None:
        axes, whole = grid_of([rows["heads"], rows["tokens"]], rows["seconds"])
        rest = np.empty_like(whole)
        for i, heads in enumerate(axes[0].astype(int).tolist()):
            shape = replace(module.shape, heads=heads)
            for j, tokens in enumerate(axes[1].tolist()):
                least = _bound(prefill_work(0.0, tokens, shape), gpu)
                others = _products_s(product, module, heads, tokens) + SMALL_KERNELS_S
                rest[i, j] = np.maximum(whole[i, j] - others, least)
        for times, left in zip(whole, rest, strict=True):
            floor = float(np.median(times[~np.isnan(times)][:SHORTEST]))
            waited = int(np.flatnonzero(times <= PLATEAU * floor).max())
            after = np.flatnonzero(~np.isnan(left[waited + 1 :]))
            if len(after):
                free = waited + 1 + int(after[0])
                share = left[free] * axes[1][:free] / axes[1][free]
                most = np.fmin(left[:free], share)
                left[:free] = np.fmin.accumulate(most[::-1])[::-1]
        self._grid = LogGrid(axes, rest, (1.0, BEYOND_PROMPT))

    def rest(self, heads: int, tokens: float) -> Timing:
        """Return the time of index scores, choice, absorb products and attention."""
        return self._grid.at(heads, tokens)


def _products_s(product: Product, module: Module, heads: int, tokens: float) -> float:
    return sum(product(tokens, n, k).seconds for n, k in module.products(heads))


def _bound(work: tuple[float, float], gpu: Gpu) -> float:
    """Return the least time that the peaks allow for bytes and FLOPs."""
    size, flops = work
    return max(size / gpu.memory_bandwidth, flops / gpu.peak("bfloat16"))


def decode_work(
    batch: float, context: float, query_tokens: float, shape: SparseShape, cache_bytes: float
) -> tuple[float, float]:
    """Return bytes and FLOPs of decoding, the projections left out.

    Index keys are read once per request, the chosen cache entries once per query token, the weights
    of the absorb products once.
    """
    queries = batch * query_tokens
    attended = min(context, float(shape.top_k))
    entry = shape.latent_dim + shape.rope_dim
    absorbed = shape.heads * shape.latent_dim * (shape.nope_dim + shape.value_dim)
    size = INDEX_BYTES * batch * context * shape.index_dim
    size += cache_bytes * queries * attended * entry + ACTIVATION_BYTES * absorbed
    return size, _flops(queries, queries * context, queries * attended, shape)


def prefill_work(start: float, end: float, shape: SparseShape) -> tuple[float, float]:
    """Return bytes and FLOPs of prefilling tokens, the projections left out."""
    tokens = end - start
    attended = causal_pairs(start, end, shape.top_k)
    size = INDEX_BYTES * end * shape.index_dim
    size += ACTIVATION_BYTES * tokens * shape.heads * (shape.nope_dim + shape.value_dim)
    return size, _flops(tokens, causal_pairs(start, end), attended, shape)


def _flops(tokens: float, scored: float, attended: float, shape: SparseShape) -> float:
    """Absorb products per token, index scores per pair, attention per chosen pair."""
    absorbed = shape.heads * shape.latent_dim * (shape.nope_dim + shape.value_dim)
    chosen = shape.heads * (2 * shape.latent_dim + shape.rope_dim)
    scores = shape.index_heads * shape.index_dim
    return 2 * (tokens * absorbed + scored * scores + attended * chosen)
