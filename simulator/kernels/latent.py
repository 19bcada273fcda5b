"""DeepSeek's multi-head latent attention."""

from __future__ import annotations

import numpy as np

from simulator.hardware.gpu import Gpu
from simulator.kernels.attention import chunk
from simulator.kernels.fits import LatentDecodeFit
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker


class LatentAttention:
    """Latent attention of one GPU: absorbed decode, unabsorbed prefill.

    Decode is the attention kernel plus the two batched products that carry queries into the latent
    space and values out of it (their weights are the absorbed up-projection, so a model must not
    add it again). Query tokens of one request count as further query heads over the same latent
    cache; beyond the last measured number of heads the fitted compute time is added; the time is
    never below that of one query token.
    """

    def __init__(
        self, gpu: Gpu, decode: Rows, prefill: Rows, absorb: Rows, fit: LatentDecodeFit
    ) -> None:
        self._gpu, self._fit = gpu, fit
        self._decode = _grid(decode, ("heads", "context", "batch"), (1.0, 1.0, 1.0))
        self._prefill = _grid(prefill, ("heads", "tokens"), (1.0, 2.0))
        self._absorb = [
            _grid(
                {n: c[absorb["phase"] == phase] for n, c in absorb.items()},
                ("heads", "tokens"),
                (1.0, 1.0),
            )
            for phase in ("pre", "post")
        ]

    def decode(self, batch: float, context: float, queries: int, heads: int) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.latent_decode_attention`."""
        one = self._absorbed(batch, context, 1, heads)
        if queries == 1:
            return one
        many = self._absorbed(batch, context, queries, heads)
        return Timing(max(one.seconds, many.seconds), weaker(one.kind, many.kind))

    def _absorbed(self, batch: float, context: float, queries: int, heads: int) -> Timing:
        before, after = (grid.at(heads, batch * queries) for grid in self._absorb)
        return before + self._query_heads(batch, context, heads * queries) + after

    def _query_heads(self, batch: float, context: float, query_heads: float) -> Timing:
        most = self._decode.last[0]
        if query_heads <= most:
            return self._decode.at(query_heads, context, batch)
        timing = self._decode.at(most, context, batch)
        more = self._fit.compute_seconds(batch, context, query_heads - most, self._gpu)
        return Timing(timing.seconds + more, weaker(timing.kind, "fitted"))

    def prefill(self, start: float, end: float, heads: int) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.latent_prefill_attention`."""
        return chunk(lambda tokens: self._prefill.at(heads, tokens), start, end)


def _grid(rows: Rows, names: tuple[str, ...], powers: tuple[float, ...]) -> LogGrid:
    axes, seconds = grid_of(
        [rows[name] for name in names], np.asarray(rows["seconds"], dtype=float)
    )
    return LogGrid(axes, seconds, powers)
