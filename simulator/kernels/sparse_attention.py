"""DeepSeek sparse attention: latent attention to the tokens that an indexer chooses.

What was measured is the whole attention module of a layer (`sparse_modules`). `SparseDecode` and
`SparsePrefill` answer for what is left when its projections and small kernels are priced on their
own: index scores, choice of the best tokens, absorb products, attention. A shape that was not
measured is answered by the roofline.
"""

from __future__ import annotations

from simulator.errors import TableError
from simulator.hardware.gpu import Gpu
from simulator.kernels.attention import chunk
from simulator.kernels.roofline import load_roofline
from simulator.kernels.schema import Rows
from simulator.kernels.sparse_modules import (
    MODULES,
    DecodeModule,
    PrefillModule,
    Product,
    SparseShape,
    architecture_of,
    decode_work,
    measured_architectures,
    prefill_work,
    rows_of,
)
from simulator.kernels.timing import Timing, weaker

__all__ = ["SparseDecode", "SparsePrefill", "SparseShape"]


class SparseDecode:
    """Sparse attention of few query tokens per request over its cache.

    Rows have one query token per request. Each of several chooses tokens of its own, and kernels
    treat them as so many requests: verifying costs what decoding ``batch x query_tokens`` requests
    does.

    Parameters
    ----------
    gpu
        The measured GPU.
    rows
        Rows of ``sparse_decode`` with one format of the cache, or None.
    product
        Prices the products that are taken out of the modules.
    cache_bytes
        Bytes per element of the cache.
    """

    def __init__(self, gpu: Gpu, rows: Rows | None, product: Product, cache_bytes: float) -> None:
        self._gpu, self._rows, self._product = gpu, rows, product
        self._cache_bytes = cache_bytes
        self._names = measured_architectures(rows)
        self._modules: dict[str, DecodeModule] = {}

    def at(self, batch: float, context: float, query_tokens: float, shape: SparseShape) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.sparse_decode_attention`."""
        found = self._module(shape)
        if found is None:
            size, flops = decode_work(batch, context, query_tokens, shape, self._cache_bytes)
            return load_roofline("sparse_decode").at(size, flops, self._gpu)
        return found.rest(shape.heads, context, batch * query_tokens)

    def module(
        self, batch: float, context: float, query_tokens: float, shape: SparseShape
    ) -> Timing:
        """Return the time of the whole module, projections in bfloat16 included.

        Raises
        ------
        TableError
            If no such module was measured.
        """
        found = self._module(shape)
        if found is None:
            known = ", ".join(self._names) or "none"
            raise TableError(
                f"no sparse attention module of {shape.index_heads} index heads and values "
                f"{shape.value_dim} wide was measured on {self._gpu.title}; measured: {known}."
            )
        return found.whole(shape.heads, context, batch * query_tokens)

    def _module(self, shape: SparseShape) -> DecodeModule | None:
        name = architecture_of(shape, self._names)
        if name is None or self._rows is None:
            return None
        if name not in self._modules:
            rows = rows_of(self._rows, name)
            module = DecodeModule(self._gpu, rows, MODULES[name], self._product, self._cache_bytes)
            self._modules[name] = module
        return self._modules[name]


class SparsePrefill:
    """Sparse attention of one request's prompt, whole or in chunks (`attention.chunk`).

    Parameters
    ----------
    gpu, product
        As in `SparseDecode`.
    rows
        Rows of ``sparse_prefill`` with one format of the cache, or None.
    """

    def __init__(self, gpu: Gpu, rows: Rows | None, product: Product) -> None:
        self._gpu, self._rows, self._product = gpu, rows, product
        self._names = measured_architectures(rows)
        self._modules: dict[str, PrefillModule] = {}

    def at(self, start: float, end: float, shape: SparseShape) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.sparse_prefill_attention`."""
        name = architecture_of(shape, self._names)
        if name is None or self._rows is None:
            size, flops = prefill_work(start, end, shape)
            return load_roofline("sparse_prefill").at(size, flops, self._gpu)
        if name not in self._modules:
            rows = rows_of(self._rows, name)
            self._modules[name] = PrefillModule(self._gpu, rows, MODULES[name], self._product)
        rest = self._modules[name].rest
        timing = chunk(lambda tokens: rest(shape.heads, tokens), start, end)
        return Timing(timing.seconds, weaker(timing.kind, "fitted"))
