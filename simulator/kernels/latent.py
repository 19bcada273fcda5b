"""DeepSeek's multi-head latent attention."""

from __future__ import annotations

import numpy as np

from simulator.hardware.gpu import Gpu
from simulator.kernels.attention import chunk
from simulator.kernels.fits import LatentDecodeFit
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.roofline import AssumedAbsorb, AssumedLatentDecode
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker


class LatentDecode:
    """Absorbed latent attention of one GPU over the cache, without the absorb products.

    Query tokens of one request count as further query heads over the same latent cache; beyond the
    last measured number of heads the fitted compute time is added. Without rows of the cache's
    format, the fit to another serves, with the bytes of this one.
    """

    def __init__(
        self, gpu: Gpu, rows: Rows, fit: LatentDecodeFit, kv_dtype: str = "bfloat16"
    ) -> None:
        self._gpu, self._fit, self._kv_dtype = gpu, fit, kv_dtype
        axes = ("heads", "context", "batch")
        self._grid = _grid(rows, axes, (1.0, 1.0, 1.0)) if len(rows["seconds"]) else None

    def at(self, batch: float, context: float, query_heads: float) -> Timing:
        """Return the time of ``query_heads`` heads times query tokens per request."""
        if self._grid is None:
            seconds = self._fit.seconds(batch, context, query_heads, self._gpu, self._kv_dtype)
            return Timing(seconds, "fitted")
        most = self._grid.last[0]
        if query_heads <= most:
            return self._grid.at(query_heads, context, batch)
        timing = self._grid.at(most, context, batch)
        more = self._fit.compute_seconds(batch, context, query_heads - most, self._gpu)
        return Timing(timing.seconds + more, weaker(timing.kind, "fitted"))


class LatentAbsorb:
    """The two batched products around absorbed decode.

    They carry queries into the latent space and values out of it. Their weights are the absorbed
    up-projection, so a model must not add it again.
    """

    def __init__(self, rows: Rows) -> None:
        self._grids = [
            _grid(
                {n: c[rows["phase"] == phase] for n, c in rows.items()},
                ("heads", "tokens"),
                (1.0, 1.0),
            )
            for phase in ("pre", "post")
        ]

    def at(self, heads: int, tokens: float) -> tuple[Timing, Timing]:
        """Return the times of the product before attention and of that after it."""
        before, after = (grid.at(heads, tokens) for grid in self._grids)
        return before, after


class LatentPrefill:
    """Unabsorbed latent attention of one GPU."""

    def __init__(self, rows: Rows) -> None:
        self._grid = _grid(rows, ("heads", "tokens"), (1.0, 2.0))

    def at(self, start: float, end: float, heads: int) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.latent_prefill_attention`."""
        return chunk(lambda tokens: self._grid.at(heads, tokens), start, end)


def absorbed_decode(
    decode: LatentDecode | AssumedLatentDecode,
    absorb: LatentAbsorb | AssumedAbsorb,
    batch: float,
    context: float,
    queries: float,
    heads: int,
) -> Timing:
    """Return the time of attention and absorb products; never below that of one query token.

    Arguments as in `tables.KernelTables.latent_decode_attention`.
    """

    def of(count: float) -> Timing:
        before, after = absorb.at(heads, batch * count)
        return before + decode.at(batch, context, heads * count) + after

    one = of(1)
    if queries == 1:
        return one
    many = of(queries)
    return Timing(max(one.seconds, many.seconds), weaker(one.kind, many.kind))


def _grid(rows: Rows, names: tuple[str, ...], powers: tuple[float, ...]) -> LogGrid:
    axes, seconds = grid_of(
        [rows[name] for name in names], np.asarray(rows["seconds"], dtype=float)
    )
    return LogGrid(axes, seconds, powers)
