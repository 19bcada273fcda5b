"""Which shapes are timed: small grids that span what models ask for, growing along one key.

The tables interpolate between powers of the keys, so few points a decade are enough; what a slow
machine leaves out at the far end is carried on by the rules of `loggrid` and by the fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

from simulator.kernels.microbench.cells import MATRICES, ROUTINGS, Cell

LAYER_CACHES = 4
"""Size of the timed expert layer at least, in last-level caches: its weights come from memory."""

LAUNCHES = 100
"""Kernels launched in a row: the first after a flush also waits for its own code."""

SHARES = {
    "copy": 0.02,
    "read": 0.02,
    "launch": 0.01,
    "gemm": 0.25,
    "experts": 0.25,
    "decode_attention": 0.2,
    "prefill_attention": 0.15,
}
"""Shares of the time by operator; the line takes the rest."""

_LINE = {"experts": 64, "top_k": 8, "hidden": 1024, "inter": 512}
"""Shape of the layer whose time is put against distinct experts, if the cache is small."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is timed, in order.

    Parameters
    ----------
    series
        Cells that grow along the last key of their operator: when one takes too long, the rest of
        its series is left out.
    line
        Expert cells of one shape under balanced and under uniform routing, whose times are put
        against the distinct experts that they touch.
    """

    series: tuple[tuple[Cell, ...], ...]
    line: tuple[Cell, ...]

    @property
    def cells(self) -> int:
        """Cells in all."""
        return sum(map(len, self.series)) + len(self.line)


@dataclass(frozen=True, slots=True)
class Grid:
    """The values of keys that a plan combines.

    Parameters
    ----------
    n, k, m
        Dense products.
    expert_shapes
        Experts, experts per token, width of the model and of an expert.
    tokens
        Tokens that enter the experts.
    head_dims, kv_heads, query_rows, contexts, batches
        Decode and verify attention. A query row is a query head or query token that shares a KV
        head.
    prompts
        Tokens of prefill attention.
    line_tokens
        Tokens whose times are put against distinct experts, at most E / K.
    copy_bytes
        Bytes copied and read at least.
    """

    n: tuple[int, ...]
    k: tuple[int, ...]
    m: tuple[int, ...]
    expert_shapes: tuple[tuple[int, int, int, int], ...]
    tokens: tuple[int, ...]
    head_dims: tuple[int, ...]
    kv_heads: tuple[int, ...]
    query_rows: tuple[int, ...]
    contexts: tuple[int, ...]
    batches: tuple[int, ...]
    prompts: tuple[int, ...]
    line_tokens: tuple[int, ...]
    copy_bytes: int


STANDARD = Grid(
    n=(128, 1024, 8192),
    k=(512, 2048, 8192),
    m=(1, 4, 16, 64, 256, 1024),
    expert_shapes=((16, 2, 1024, 1024), (32, 4, 2048, 512)),
    tokens=(1, 2, 4, 8, 16, 32, 64, 128, 512, 2048),
    head_dims=(64, 128),
    kv_heads=(4,),
    query_rows=(1, 4, 16),
    contexts=(128, 1024, 8192),
    batches=(1, 4, 16),
    prompts=(16, 128, 512, 2048),
    line_tokens=(1, 2, 3, 4, 5, 6, 7, 8),
    copy_bytes=2**28,
)
"""Enough for the tables; about a minute and a half on two cores."""

QUICK = Grid(
    n=(64, 512),
    k=(64, 512),
    m=(1, 8),
    expert_shapes=(),
    tokens=(1, 4, 16),
    head_dims=(64,),
    kv_heads=(2,),
    query_rows=(1, 4),
    contexts=(64, 256),
    batches=(1, 4),
    prompts=(16, 64),
    line_tokens=(1, 3, 5, 8),
    copy_bytes=2**24,
)
"""Seconds, to see that everything runs; the times are of small shapes only."""


def make_plan(grid: Grid, dtype: str, cache_bytes: float) -> Plan:
    """Lay out what to time in one format.

    Parameters
    ----------
    grid
        The values of the keys.
    dtype
        Number format of the tables.
    cache_bytes
        Last-level cache: the experts of the line are made larger than that.
    """
    line_shape = _line_shape(cache_bytes)
    series = [
        *_probes(dtype, max(grid.copy_bytes, 2 * int(cache_bytes))),
        *_products(grid, dtype),
        *_experts((line_shape, *grid.expert_shapes), grid.tokens, dtype),
        *_decode(grid, dtype),
        *_prefill(grid, dtype),
    ]
    line = (
        _experts_cell(line_shape, tokens, dtype, routing)
        for routing in ROUTINGS
        for tokens in grid.line_tokens
    )
    return Plan(tuple(series), tuple(line))


def _line_shape(cache_bytes: float) -> tuple[int, int, int, int]:
    """Widen the experts until the layer is `LAYER_CACHES` times the cache (2 bytes a value).

    Examples
    --------
    >>> _line_shape(0.0), _line_shape(100e6)
    ((64, 8, 1024, 512), (64, 8, 1024, 1024))
    """
    experts, top_k, hidden, inter = _LINE.values()
    layer_bytes = 2 * experts * MATRICES * hidden * inter
    return experts, top_k, hidden, inter * max(1, ceil(LAYER_CACHES * cache_bytes / layer_bytes))


def _probes(dtype: str, size: int) -> Iterable[tuple[Cell, ...]]:
    yield (Cell("copy", dtype, {"bytes": size}),)
    yield (Cell("read", dtype, {"bytes": size}),)
    yield (Cell("launch", dtype, {"kernels": LAUNCHES}),)


def _products(grid: Grid, dtype: str) -> Iterable[tuple[Cell, ...]]:
    for n, k in product(grid.n, grid.k):
        yield tuple(Cell("gemm", dtype, {"n": n, "k": k, "m": m}) for m in grid.m)
    largest = {"n": grid.n[-1], "k": grid.k[0], "m": grid.m[-1]}
    if dtype != "float32":  # how fast the machine computes without a short format
        yield (Cell("gemm", "float32", largest),)


def _experts_cell(
    shape: tuple[int, int, int, int], tokens: int, dtype: str, routing: str = "balanced"
) -> Cell:
    keys = dict(zip(("experts", "top_k", "hidden", "inter"), shape, strict=True))
    whole = {"matrices": MATRICES, "tensor_parallel": 1, "expert_parallel": 1}
    return Cell("experts", dtype, keys | whole | {"tokens": tokens}, routing)


def _experts(
    shapes: Sequence[tuple[int, int, int, int]], tokens: Sequence[int], dtype: str
) -> Iterable[tuple[Cell, ...]]:
    for shape in shapes:
        yield tuple(_experts_cell(shape, count, dtype) for count in tokens)


def _decode(grid: Grid, dtype: str) -> Iterable[tuple[Cell, ...]]:
    for width, kv, rows, context in product(
        grid.head_dims, grid.kv_heads, grid.query_rows, grid.contexts
    ):
        shape = {"head_dim": width, "window": 0, "kv_heads": kv, "heads": kv * rows}
        yield tuple(
            Cell("decode_attention", dtype, shape | {"context": context, "batch": batch})
            for batch in grid.batches
        )


def _prefill(grid: Grid, dtype: str) -> Iterable[tuple[Cell, ...]]:
    for width, kv, share in product(grid.head_dims, grid.kv_heads, (1, 4)):
        shape = {"head_dim": width, "window": 0, "kv_heads": kv, "heads": kv * share}
        yield tuple(
            Cell("prefill_attention", dtype, shape | {"tokens": tokens}) for tokens in grid.prompts
        )
