"""The question side of the kernel tables: what one call of a kernel costs on one GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from simulator.errors import TableError, unknown
from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.communication import CommunicationTables
from simulator.kernels.fits import ExpertShape
from simulator.kernels.grouped import ExpertTable
from simulator.kernels.latent import absorbed_decode
from simulator.kernels.linear_attention import LinearShape
from simulator.kernels.measured import MeasuredTables, serving_sets
from simulator.kernels.roofline import AssumedExperts
from simulator.kernels.schema import ENGINES, OPERATORS, read_table
from simulator.kernels.sparse_attention import SparseShape
from simulator.kernels.stand_in import below_peak
from simulator.kernels.timing import Timing

__all__ = [
    "CACHE_DTYPES",
    "ExpertShape",
    "KernelTables",
    "LinearShape",
    "SparseShape",
    "TableSlice",
    "Timing",
]


CACHE_DTYPES = ("bfloat16", "fp8")
"""Formats of the KV cache."""


@dataclass(frozen=True, slots=True)
class TableSlice:
    """Where the rows of one engine's operator and dtype come from."""

    engine: str
    operator: str
    dtype: str
    backend: str
    version: str
    rows: int


@dataclass(frozen=True, slots=True)
class KernelTables(CommunicationTables):
    """What kernels cost on one GPU under one serving engine.

    All times are of one call inside a CUDA graph, in seconds, and come as a `Timing` that says how
    they were come by. Token counts, batches and contexts may be fractional (expected values).

    Parameters
    ----------
    gpu
        The GPU asked about. Where ``gpu.tables`` names another GPU, that one's measurements stand
        for it, but nothing computes above its own peak, and all-reduces go over its own NVLink.
    engine
        Serving engine, one of `schema.ENGINES`.

    Notes
    -----
    Where the engine has no table of an operator on that GPU, or the table lacks the format, the
    head width or the number of GPUs asked for, vLLM's set answers: kernels of another engine, but
    measured on the same GPU, so the kind of the `Timing` stays what that table says. For experts, a
    shape measured for the engine comes before one measured for vLLM, that before the engine's fit,
    and vLLM's fit comes last.

    Examples
    --------
    >>> from simulator.hardware.gpu import load_gpu
    >>> tables = KernelTables.load(load_gpu("a100_sxm"))
    >>> tables.gemm(1, 4096, 4096, "bfloat16").kind
    'measured'
    """

    _of_experts: dict[tuple[ExpertShape, str, bool], ExpertTable | AssumedExperts] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def load(cls, gpu: Gpu, engine: str = ENGINES[0]) -> KernelTables:
        """Return the tables of a GPU under an engine; files are read on first use and kept.

        Raises
        ------
        TableError
            If there is no such engine, or the GPU has no tables.
        """
        if engine not in ENGINES:
            raise TableError(unknown("kernel tables of engine", engine, ENGINES))
        return cls(gpu, engine, serving_sets(gpu.tables, engine))

    def _cached(self, operator: str, kv_dtype: str, head_dim: int | None = None) -> MeasuredTables:
        """Return the set that answers for attention with a cache of one format."""
        if kv_dtype not in CACHE_DTYPES:
            raise TableError(unknown("KV cache dtype", kv_dtype, CACHE_DTYPES))
        if head_dim is None:
            return self._first(operator, kv_dtype)
        return self._first(operator, kv_dtype, "head_dim", head_dim)

    def gemm(self, m: float, n: int, k: int, dtype: str) -> Timing:
        """Dense product ``[m, k] x [k, n]`` with weights in ``dtype``.

        Raises
        ------
        TableError
            If the dtype was not measured; the message names those that were.
        """
        timing = self._first("gemm", dtype).gemm.at(m, n, k, dtype)
        return below_peak(timing, 2.0 * m * n * k, dtype, self.gpu)

    def experts(
        self,
        tokens: float,
        active_experts: float,
        shape: ExpertShape,
        dtype: str,
        *,
        masked: bool = False,
    ) -> Timing:
        """Routed experts of one layer: top-k, sort, grouped products, activation, combine.

        Parameters
        ----------
        tokens
            Tokens t that enter the layer (of the whole expert-parallel group).
        active_experts
            Distinct experts N that they touch on this GPU: an input, from the routing law.
        shape, dtype
            The experts, and their weight format.
        masked
            Whether a dispatch has sorted the rows by expert (DeepEP's low-latency kernels): grouped
            products and activation alone, where these were measured in the format.

        Notes
        -----
        ``"measured"`` where the shape has balanced rows: the balanced curve read at N / K tokens,
        plus what the tokens cost beyond touching the experts (`grouped.BalancedCurve`). Else
        ``"fitted"``: the pooled model of the GPU and dtype (`fits.ExpertFit`).

        Raises
        ------
        TableError
            If the dtype was not measured, or N is not in (0, E].
        """
        asked = shape, dtype, masked
        table = self._of_experts.get(asked)
        if table is None:
            table = self._of_experts[asked] = self._experts_with(*asked)
        timing = table.at(tokens, active_experts, shape, dtype)
        local, split = tokens / shape.expert_parallel, float(shape.tensor_parallel)
        hidden, inter = float(shape.hidden), float(shape.inter)
        flops = work.expert_flops(local, hidden, inter, shape.matrices, split, shape.top_k)
        return below_peak(timing, flops, dtype, self.gpu)

    def _experts_with(
        self, shape: ExpertShape, dtype: str, masked: bool
    ) -> ExpertTable | AssumedExperts:
        """Return the table that answers for experts of a shape, as `experts` chooses it."""
        holders = [s.experts for s in self._sets if s.holds("experts", dtype)]
        if masked:
            sorted_rows = [s for s in self._sets if s.holds("masked_experts", dtype)]
            holders = [s.masked_experts for s in sorted_rows] or holders
        measured = (table for table in holders if table.has(shape, dtype))
        return next(measured, holders[0] if holders else self._sets[-1].experts)

    def decode_attention(
        self,
        batch: float,
        context_tokens: float,
        query_tokens: float,
        heads: int,
        kv_heads: int,
        head_dim: int,
        window: int = 0,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Attention of ``query_tokens`` new tokens per request over its cache.

        Parameters
        ----------
        batch
            Requests.
        context_tokens
            Mean cached tokens per request, the new ones included.
        query_tokens
            New tokens per request: 1 to decode, gamma + 1 to verify.
        heads, kv_heads, head_dim
            Heads on this GPU and their width.
        window
            Sliding window, tokens; 0 for none.
        kv_dtype
            Format of the cache, one of `CACHE_DTYPES`. Where fp8 was not measured, the model
            fitted to bfloat16 rows serves, with half the bytes to read.

        Raises
        ------
        TableError
            If there is no such format.
        """
        decode = self._cached("decode_attention", kv_dtype, head_dim).decode(kv_dtype)
        return decode.at(batch, context_tokens, query_tokens, heads, kv_heads, head_dim, window)

    def prefill_attention(
        self,
        start_tokens: float,
        end_tokens: float,
        heads: int,
        kv_heads: int,
        head_dim: int,
        window: int = 0,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Causal attention of one prompt's tokens from ``start_tokens`` on.

        Arguments as in `decode_attention`. Where an fp8 cache was not measured, the model fitted to
        bfloat16 rows serves: a prompt's own attention computes, and hardly reads the cache.
        """
        prefill = self._cached("prefill_attention", kv_dtype, head_dim).prefill(kv_dtype)
        timing = prefill.at(start_tokens, end_tokens, heads, kv_heads, head_dim, window)
        ends = np.array([end_tokens, start_tokens], dtype=float)
        last, first = work.causal_pairs(ends, np.array(float(window))).tolist()
        flops = work.attention_flops(last - first, float(heads), float(head_dim))
        return below_peak(timing, flops, kv_dtype, self.gpu)

    def latent_decode_attention(
        self,
        batch: float,
        context_tokens: float,
        query_tokens: float,
        heads: int,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Absorbed latent attention of new tokens, both absorb products included.

        Parameters
        ----------
        batch, context_tokens, query_tokens, kv_dtype
            As in `decode_attention`.
        heads
            Query heads on this GPU; the latent cache (512 + 64 wide) is whole on every GPU.
        """
        decode = self._cached("latent_decode", kv_dtype).latent_decode(kv_dtype)
        absorb = self._first("latent_absorb").latent_absorb
        return absorbed_decode(decode, absorb, batch, context_tokens, query_tokens, heads)

    def latent_prefill_attention(
        self, start_tokens: float, end_tokens: float, heads: int, kv_dtype: str = "bfloat16"
    ) -> Timing:
        """Unabsorbed latent attention of one prompt's tokens, without its up-projection.

        Raises
        ------
        TableError
            If a cache of that format was not measured, or there is no such format.
        """
        prefill = self._cached("latent_prefill", kv_dtype).latent_prefill(kv_dtype)
        return prefill.at(start_tokens, end_tokens, heads)

    def linear_decode_attention(
        self, requests: float, query_tokens: float, shape: LinearShape
    ) -> Timing:
        """Convolution and gated delta rule of new tokens, whatever their context.

        Parameters
        ----------
        requests
            Requests.
        query_tokens
            New tokens per request: 1 to decode, gamma + 1 to verify. Verifying keeps the state
            after each of them.
        shape
            The heads on this GPU, and their widths.

        Notes
        -----
        Without projections and without the gated norm of the output. ``"measured"`` for one token
        and heads that were measured, ``"fitted"`` for others (`linear_attention`), ``"assumed"``
        for other widths and where nothing was measured.
        """
        return self._first("linear_decode").linear.decode(requests, query_tokens, shape)

    def linear_prefill_attention(
        self, tokens: float, shape: LinearShape, requests: float = 1.0
    ) -> Timing:
        """Convolution and gated delta rule of ``tokens`` of each of some prompts.

        Only the tokens of the step count, not those before them: the state stands for these.
        Prompts of a step run side by side, so few heads gain from several requests. Otherwise as
        `linear_decode_attention`.
        """
        return self._first("linear_prefill").linear.prefill(tokens, requests, shape)

    def sparse_decode_attention(
        self,
        batch: float,
        context_tokens: float,
        query_tokens: float,
        shape: SparseShape,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Sparse latent attention of new tokens, without projections and small kernels.

        Index scores over the whole cache, choice of the best tokens, attention to those, and the
        absorb products: what a measured attention module takes beyond its projections, norms and
        rotation (`sparse_modules`). ``"fitted"``, and ``"assumed"`` for a module that was not
        measured.

        Parameters
        ----------
        batch, context_tokens, query_tokens, kv_dtype
            As in `decode_attention`.
        shape
            Heads on this GPU, and widths.
        """
        decode = self._cached("sparse_decode", kv_dtype).sparse_decode(kv_dtype)
        return decode.at(batch, context_tokens, query_tokens, shape)

    def sparse_decode_module(
        self,
        batch: float,
        context_tokens: float,
        query_tokens: float,
        shape: SparseShape,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Whole measured module of `sparse_decode_attention`, its projections in bfloat16 included.

        Raises
        ------
        TableError
            If no such module was measured.
        """
        decode = self._cached("sparse_decode", kv_dtype).sparse_decode(kv_dtype)
        return decode.module(batch, context_tokens, query_tokens, shape)

    def sparse_prefill_attention(
        self,
        start_tokens: float,
        end_tokens: float,
        shape: SparseShape,
        kv_dtype: str = "bfloat16",
    ) -> Timing:
        """Sparse latent attention of one prompt's tokens, as `sparse_decode_attention`."""
        prefill = self._cached("sparse_prefill", kv_dtype).sparse_prefill(kv_dtype)
        return prefill.at(start_tokens, end_tokens, shape)

    def describe(self) -> list[TableSlice]:
        """List what was measured for the engine itself: by operator, dtype, backend, version."""
        slices = []
        for operator in OPERATORS:
            rows = read_table(
                self.gpu.tables, self.engine, operator, ["dtype", "backend", "version"]
            )
            if rows is None:
                continue
            # Arrow counts by hash; numpy would sort three million rows of names.
            groups = pa.table(dict(rows)).group_by(list(rows)).aggregate([([], "count_all")])
            found = sorted(tuple(group.values()) for group in groups.to_pylist())
            slices += [TableSlice(self.engine, operator, *group) for group in found]
        return slices
