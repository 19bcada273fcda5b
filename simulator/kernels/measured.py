"""The kernel tables of one serving engine on one measured GPU, read on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.attention import DecodeAttention, PrefillAttention
from simulator.kernels.cleaning import filtered
from simulator.kernels.collective import CollectiveTable, NcclTables
from simulator.kernels.exchange import ExchangeTable, read_curves
from simulator.kernels.fits import (
    DecodeFit,
    ExpertFit,
    Fit,
    LatentDecodeFit,
    PrefillFit,
    load_fits,
)
from simulator.kernels.gemm import GemmTable
from simulator.kernels.grouped import ExpertTable
from simulator.kernels.latent import LatentAbsorb, LatentDecode, LatentPrefill
from simulator.kernels.linear_attention import LinearAttention
from simulator.kernels.roofline import (
    AssumedAbsorb,
    AssumedDecode,
    AssumedExperts,
    AssumedGemm,
    AssumedLatentDecode,
    AssumedLatentPrefill,
    AssumedPrefill,
)
from simulator.kernels.schema import ENGINES, OPERATORS, Rows, read_table
from simulator.kernels.sparse_attention import SparseDecode, SparsePrefill
from simulator.kernels.timing import Timing
from simulator.quantities import names_a_file
from simulator.units import BYTES_PER_WEIGHT

F = TypeVar("F", bound=Fit)
T = TypeVar("T")
U = TypeVar("U")


class MeasuredTables:
    """The tables of one engine on one measured GPU.

    Parameters
    ----------
    gpu
        Name of the measured GPU.
    engine
        One of `schema.ENGINES`.
    """

    def __init__(self, gpu: str, engine: str) -> None:
        self.gpu = load_gpu(gpu)
        self.engine = engine
        self._rows: dict[str, Rows | None] = {}
        self._held: dict[tuple[str, str], set[tuple[str, int]]] = {}
        self._by_format: dict[tuple[str, str], Any] = {}

    def rows(self, operator: str, dtype: str | None = None) -> Rows:
        """Return the keys and times of one operator, of one format or all.

        Raises
        ------
        TableError
            If the operator was not measured on this GPU for this engine.
        """
        rows = self._read(operator)
        if rows is None:
            raise TableError(f"{operator} was not measured on {self.gpu.title} ({self.engine}).")
        return rows if dtype is None else filtered(rows, rows["dtype"] == dtype)

    def holds(self, operator: str, dtype: str, key: str = "", value: int = 0) -> bool:
        """Tell whether an operator was measured in a format, and there with one value of a key."""
        if (operator, key) not in self._held:
            rows = self._read(operator)
            found: set[tuple[str, int]] = set()
            if rows is not None:
                values = rows[key] if key else np.zeros(len(rows["dtype"]), dtype=int)
                for name in np.unique(rows["dtype"]).tolist():
                    mine = np.unique(values[rows["dtype"] == name]).tolist()
                    found |= {(name, number) for number in mine}
            self._held[operator, key] = found
        return (dtype, value) in self._held[operator, key]

    def fits(self, operator: str, kind: type[F]) -> dict[str, F]:
        """Return the fits to one operator's table, by format."""
        if names_a_file(self.gpu.name):
            own = _fits(Path(self.gpu.name))[operator]  # of this machine, whatever the engine
            return {fit.dtype: fit for fit in own if isinstance(fit, kind)}
        mine = (self.gpu.name, self.engine)
        found = [fit for fit in _fits()[operator] if isinstance(fit, kind)]
        return {fit.dtype: fit for fit in found if (fit.gpu, fit.engine) == mine}

    def _read(self, operator: str) -> Rows | None:
        if operator not in self._rows:
            form = OPERATORS[operator]
            columns = ["dtype", *form.labels, *form.keys, *form.times]
            self._rows[operator] = read_table(self.gpu.name, self.engine, operator, columns)
        return self._rows[operator]

    @cached_property
    def gemm(self) -> GemmTable | AssumedGemm:
        """Dense products; by the roofline where none was measured."""
        rows = self._read("gemm")
        return AssumedGemm(self.gpu) if rows is None else GemmTable(self.gpu.name, rows)

    @cached_property
    def experts(self) -> ExpertTable | AssumedExperts:
        """Routed experts; by the roofline where none were measured."""
        rows = self._read("experts")
        if rows is None:
            return AssumedExperts(self.gpu)
        return ExpertTable(self.gpu, rows, self.fits("experts", ExpertFit))

    @cached_property
    def masked_experts(self) -> ExpertTable:
        """Grouped products of routed experts, of rows sorted by expert."""
        fits = self.fits("masked_experts", ExpertFit)
        return ExpertTable(self.gpu, self.rows("masked_experts"), fits)

    def decode(self, kv_dtype: str) -> DecodeAttention | AssumedDecode:
        """Attention over a cache of one format."""

        def build(rows: Rows) -> DecodeAttention:
            fit = self._fit("decode_attention", DecodeFit, kv_dtype)
            return DecodeAttention(self.gpu, rows, fit, kv_dtype)

        return self._once(
            "decode_attention", kv_dtype, build, lambda: AssumedDecode(self.gpu, kv_dtype)
        )

    def prefill(self, kv_dtype: str) -> PrefillAttention | AssumedPrefill:
        """Attention of a prompt, with a cache of one format."""

        def build(rows: Rows) -> PrefillAttention:
            fit = self._fit("prefill_attention", PrefillFit, kv_dtype)
            return PrefillAttention(self.gpu, rows, fit)

        return self._once(
            "prefill_attention", kv_dtype, build, lambda: AssumedPrefill(self.gpu, kv_dtype)
        )

    def latent_decode(self, kv_dtype: str) -> LatentDecode | AssumedLatentDecode:
        """Absorbed latent attention over a cache of one format, without the absorb products."""

        def build(rows: Rows) -> LatentDecode:
            fit = self._fit("latent_decode", LatentDecodeFit, kv_dtype)
            return LatentDecode(self.gpu, rows, fit, kv_dtype)

        return self._once(
            "latent_decode", kv_dtype, build, lambda: AssumedLatentDecode(self.gpu, kv_dtype)
        )

    def latent_prefill(self, kv_dtype: str) -> LatentPrefill | AssumedLatentPrefill:
        """Unabsorbed latent attention of a prompt, with a cache of one format.

        Raises
        ------
        TableError
            If the format was not measured, though another was; there is no fit to stand in.
        """

        def build(rows: Rows) -> LatentPrefill:
            if not len(rows["seconds"]):
                raise TableError(
                    f"latent_prefill was not measured with a {kv_dtype} cache on {self.gpu.title}."
                )
            return LatentPrefill(rows)

        return self._once("latent_prefill", kv_dtype, build, lambda: AssumedLatentPrefill(self.gpu))

    def _once(
        self, operator: str, dtype: str, build: Callable[[Rows], T], assumed: Callable[[], U]
    ) -> T | U:
        """Build the answers of one format on first use; without a table, those of the roofline."""
        if (operator, dtype) not in self._by_format:
            lacking = self._read(operator) is None
            answers = assumed() if lacking else build(self.rows(operator, dtype))
            self._by_format[operator, dtype] = answers
        found: T | U = self._by_format[operator, dtype]
        return found

    def _fit(self, operator: str, kind: type[F], dtype: str) -> F:
        """Return the fit to a format, or to bfloat16 where it was not measured."""
        fits = self.fits(operator, kind)
        found = fits.get(dtype, fits.get("bfloat16"))
        if found is None:
            raise TableError(f"{self.gpu.name} holds rows of {operator} but no fit to them.")
        return found

    @cached_property
    def latent_absorb(self) -> LatentAbsorb | AssumedAbsorb:
        """The products into and out of the latent space."""
        rows = self._read("latent_absorb")
        return AssumedAbsorb(self.gpu) if rows is None else LatentAbsorb(rows)

    @cached_property
    def all_reduce(self) -> CollectiveTable:
        """All-reduce inside one node."""
        return CollectiveTable("all-reduce", self.gpu.name, self.rows("all_reduce"))

    @cached_property
    def nccl(self) -> NcclTables:
        """NCCL's collectives inside one node, which any engine runs."""
        return NcclTables(self.gpu.name, self.rows("nccl"))

    @cached_property
    def exchange(self) -> ExchangeTable:
        """Dispatch and combine of experts."""
        rows = read_table(self.gpu.name, self.engine, "all_to_all")
        return ExchangeTable(self.gpu, read_curves(rows))

    @cached_property
    def linear(self) -> LinearAttention:
        """Gated delta rule; by the roofline where it was not measured."""
        return LinearAttention(self.gpu, self._read("linear_decode"), self._read("linear_prefill"))

    def sparse_decode(self, kv_dtype: str) -> SparseDecode:
        """Sparse attention over a cache of one format."""

        def build(rows: Rows | None) -> SparseDecode:
            return SparseDecode(self.gpu, rows, self._product, BYTES_PER_WEIGHT[kv_dtype])

        return self._once("sparse_decode", kv_dtype, build, lambda: build(None))

    def sparse_prefill(self, kv_dtype: str) -> SparsePrefill:
        """Sparse attention of a prompt, with a cache of one format."""

        def build(rows: Rows | None) -> SparsePrefill:
            return SparsePrefill(self.gpu, rows, self._product)

        return self._once("sparse_prefill", kv_dtype, build, lambda: build(None))

    def _product(self, m: float, n: int, k: int) -> Timing:
        sets = serving_sets(self.gpu.name, self.engine)
        holder = next((s for s in sets if s.holds("gemm", "bfloat16")), sets[-1])
        return holder.gemm.at(m, n, k, "bfloat16")


@cache
def _fits(folder: Path | None = None) -> dict[str, list[Fit]]:
    return load_fits(folder)


@cache
def measured_tables(gpu: str, engine: str) -> MeasuredTables:
    """Return the tables of one engine on one measured GPU; they are read once and kept."""
    return MeasuredTables(gpu, engine)


def serving_sets(gpu: str, engine: str) -> tuple[MeasuredTables, ...]:
    """Return the sets of tables that answer for an engine, its own first.

    The last is that of the engine measured on every GPU, `schema.ENGINES`' first.
    """
    engines = dict.fromkeys((engine, ENGINES[0]))
    return tuple(measured_tables(gpu, name) for name in engines)
