"""The question side of the kernel tables: what one call of a kernel costs on one GPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np

from simulator.errors import TableError
from simulator.hardware.gpu import Gpu, load_gpu
from simulator.kernels.attention import DecodeAttention, PrefillAttention
from simulator.kernels.collective import AllReduceTable
from simulator.kernels.fits import (
    DecodeFit,
    ExpertFit,
    ExpertShape,
    Fit,
    LatentDecodeFit,
    PrefillFit,
    load_fits,
)
from simulator.kernels.gemm import GemmTable
from simulator.kernels.grouped import ExpertTable
from simulator.kernels.latent import LatentAttention
from simulator.kernels.schema import OPERATORS, Rows, read_table
from simulator.kernels.timing import Timing

__all__ = ["ExpertShape", "KernelTables", "TableSlice", "Timing"]

F = TypeVar("F", bound=Fit)


@dataclass(frozen=True, slots=True)
class TableSlice:
    """Where the rows of one operator and dtype come from."""

    operator: str
    dtype: str
    backend: str
    version: str
    rows: int


class _Measured:
    """The tables of one measured GPU; each is read on first use."""

    def __init__(self, name: str) -> None:
        self.gpu = load_gpu(name)

    def rows(self, operator: str) -> Rows:
        form = OPERATORS[operator]
        columns = ["dtype", *form.labels, *form.keys, *form.times]
        rows = read_table(self.gpu.name, operator, columns)
        if rows is None:
            raise TableError(f"{operator} was not measured on {self.gpu.title}.")
        return rows

    def fits(self, operator: str, kind: type[F]) -> dict[str, F]:
        found = _fits()[operator]
        return {f.dtype: f for f in found if isinstance(f, kind) and f.gpu == self.gpu.name}

    @cached_property
    def gemm(self) -> GemmTable:
        return GemmTable(self.gpu.name, self.rows("gemm"))

    @cached_property
    def experts(self) -> ExpertTable:
        return ExpertTable(self.gpu, self.rows("experts"), self.fits("experts", ExpertFit))

    @cached_property
    def decode(self) -> DecodeAttention:
        fit = self.fits("decode_attention", DecodeFit)["bfloat16"]
        return DecodeAttention(self.gpu, self.rows("decode_attention"), fit)

    @cached_property
    def prefill(self) -> PrefillAttention:
        fit = self.fits("prefill_attention", PrefillFit)["bfloat16"]
        return PrefillAttention(self.gpu, self.rows("prefill_attention"), fit)

    @cached_property
    def latent(self) -> LatentAttention:
        fit = self.fits("latent_decode", LatentDecodeFit)["bfloat16"]
        decode, prefill = self.rows("latent_decode"), self.rows("latent_prefill")
        return LatentAttention(self.gpu, decode, prefill, self.rows("latent_absorb"), fit)

    @cached_property
    def all_reduce(self) -> AllReduceTable:
        return AllReduceTable(self.gpu.name, self.rows("all_reduce"))


@cache
def _fits() -> dict[str, list[Fit]]:
    return load_fits()


@cache
def _measured(name: str) -> _Measured:
    return _Measured(name)


@dataclass(frozen=True, slots=True)
class KernelTables:
    """What kernels cost on one GPU.

    All times are of one call inside a CUDA graph, in seconds, and come as a `Timing` that says how
    they were come by. Token counts, batches and contexts may be fractional (expected values).

    Parameters
    ----------
    gpu
        The GPU asked about. Where ``gpu.tables`` names another GPU, that one's measurements stand
        for it, unscaled.

    Examples
    --------
    >>> tables = KernelTables.load(load_gpu("a100_sxm"))
    >>> tables.gemm(1, 4096, 4096, "bfloat16").kind
    'measured'
    """

    gpu: Gpu
    _tables: _Measured

    @classmethod
    def load(cls, gpu: Gpu) -> KernelTables:
        """Return the tables of a GPU; files are read on first use and kept.

        Raises
        ------
        TableError
            If there are none.
        """
        return cls(gpu, _measured(gpu.tables))

    def gemm(self, m: float, n: int, k: int, dtype: str) -> Timing:
        """Dense product ``[m, k] x [k, n]`` with weights in ``dtype``.

        Raises
        ------
        TableError
            If the dtype was not measured; the message names those that were.
        """
        return self._tables.gemm.at(m, n, k, dtype)

    def experts(
        self, tokens: float, active_experts: float, shape: ExpertShape, dtype: str
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
        return self._tables.experts.at(tokens, active_experts, shape, dtype)

    def decode_attention(
        self,
        batch: float,
        context_tokens: float,
        query_tokens: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        window: int = 0,
    ) -> Timing:
        """Attention of ``query_tokens`` new tokens per request over its cache, bfloat16.

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
        """
        return self._tables.decode.at(
            batch, context_tokens, query_tokens, heads, kv_heads, head_dim, window
        )

    def prefill_attention(
        self,
        start_tokens: float,
        end_tokens: float,
        heads: int,
        kv_heads: int,
        head_dim: int,
        window: int = 0,
    ) -> Timing:
        """Causal attention of one prompt's tokens from ``start_tokens`` on, bfloat16."""
        return self._tables.prefill.at(start_tokens, end_tokens, heads, kv_heads, head_dim, window)

    def latent_decode_attention(
        self, batch: float, context_tokens: float, query_tokens: int, heads: int
    ) -> Timing:
        """Absorbed latent attention of new tokens, both absorb products included.

        Parameters
        ----------
        batch, context_tokens, query_tokens
            As in `decode_attention`.
        heads
            Query heads on this GPU; the latent cache (512 + 64 wide) is whole on every GPU.
        """
        return self._tables.latent.decode(batch, context_tokens, query_tokens, heads)

    def latent_prefill_attention(
        self, start_tokens: float, end_tokens: float, heads: int
    ) -> Timing:
        """Unabsorbed latent attention of one prompt's tokens, without its up-projection."""
        return self._tables.latent.prefill(start_tokens, end_tokens, heads)

    def all_reduce(self, message_bytes: float, gpus: int) -> Timing:
        """Sum of a message over the GPUs of a tensor-parallel group.

        Raises
        ------
        TableError
            If that number of GPUs was not measured; the message names those that were.
        """
        return self._tables.all_reduce.at(message_bytes, gpus)

    def describe(self) -> list[TableSlice]:
        """List what was measured: operator, dtype, backend, version and rows."""
        slices = []
        for operator in OPERATORS:
            rows = read_table(self.gpu.tables, operator, ["dtype", "backend", "version"])
            if rows is None:
                continue
            keys, counts = np.unique(np.stack([rows[n] for n in rows]), axis=1, return_counts=True)
            slices += [
                TableSlice(operator, str(dtype), str(backend), str(version), int(count))
                for (dtype, backend, version), count in zip(keys.T, counts, strict=True)
            ]
        return slices
