"""Softmax attention over a KV cache, grouped-query or multi-head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.fits import DecodeFit, PrefillFit
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker

MULTI_HEAD = 0
"""Slice key that stands for "as many KV heads as query heads"."""


class DecodeAttention:
    """Attention of few query tokens per request over its cache.

    Slices were measured per head width, window and number of KV heads, over batch, context and
    query heads, with one query token. Further query tokens of a request read the same cache: they
    count as further query heads on the same KV heads, which is how packed kernels treat them; the
    time is never below that of one query token. Beyond the last measured number of query heads the
    fitted time per query head is added.

    A number of KV heads that was not measured is served by the largest measured one, k', below it,
    with ``batch x k / k'`` requests: requests and KV heads are interchangeable to such kernels (the
    fits record how well this holds). A head width that was not measured is served by the fit.

    Parameters
    ----------
    gpu
        The measured GPU.
    rows
        Rows of one format of the cache; none where it was not measured, so that the fit serves.
    fit
        Fitted to rows of that format, or of another.
    kv_dtype
        Format of the cache.
    """

    def __init__(self, gpu: Gpu, rows: Rows, fit: DecodeFit, kv_dtype: str = "bfloat16") -> None:
        self._gpu, self._rows, self._fit, self._kv_dtype = gpu, rows, fit, kv_dtype
        self._grids: dict[tuple[int, int, int], LogGrid] = {}
        shapes = np.unique(np.stack([rows[n] for n in ("head_dim", "window", "kv_heads")]), axis=1)
        self._slices: dict[tuple[int, int], list[int]] = {}
        for head_dim, window, kv_heads in shapes.T.tolist():
            self._slices.setdefault((head_dim, window), []).append(kv_heads)

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
        if window and (head_dim, window) not in self._slices:
            context, window = min(context, float(window)), 0
        known = self._slices.get((head_dim, window))
        if known is None:
            span = min(context, window) if window else context
            query_heads = float(heads * queries)
            shape = (query_heads, kv_heads, head_dim)
            return Timing(
                self._fit.seconds(batch, span, *shape, self._gpu, self._kv_dtype), "fitted"
            )
        near = max((k for k in known if k <= kv_heads), default=known[0])
        scale = kv_heads / near
        grid = self._grid(head_dim, window, near)
        one = self._query_heads(grid, batch * scale, context, heads / scale)
        if queries > 1:
            many = self._query_heads(grid, batch * scale, context, heads * queries / scale)
            one = Timing(max(one.seconds, many.seconds), weaker(one.kind, many.kind))
        return one if near == kv_heads else _as(one, "fitted")

    def _query_heads(
        self, grid: LogGrid, batch: float, context: float, query_heads: float
    ) -> Timing:
        most = grid.last[0]
        if query_heads <= most:
            return grid.at(query_heads, context, batch)
        timing = grid.at(most, context, batch)
        more = self._fit.per_query_head_s * batch * (query_heads - most)
        return _as(Timing(timing.seconds + more, timing.kind), "fitted")

    def _grid(self, head_dim: int, window: int, kv_heads: int) -> LogGrid:
        key = (head_dim, window, kv_heads)
        if key not in self._grids:
            rows = self._rows
            keep = (rows["head_dim"] == head_dim) & (rows["window"] == window)
            keep &= rows["kv_heads"] == kv_heads
            columns = [rows[name][keep] for name in ("heads", "context", "batch")]
            axes, seconds = grid_of(columns, rows["seconds"][keep])
            self._grids[key] = LogGrid(axes, seconds, (1.0, 1.0, 1.0))
        return self._grids[key]


class PrefillAttention:
    """Causal attention of one request's prompt, whole or in chunks.

    A(s) is the measured time of a whole prompt of s tokens. A chunk from a to b costs A(b) - A(a),
    and no less than a fresh chunk of its length. Beyond the longest measured prompt A grows with
    its square, or in proportion with a window.

    A number of KV heads that was not measured is served by the nearest that was, a window by the
    time without one in proportion to the pairs of query and key left, a head width by the fit.

    ``rows`` are of one format of the cache, and so is the ``fit``, unless there are no rows of it.
    """

    def __init__(self, gpu: Gpu, rows: Rows, fit: PrefillFit) -> None:
        self._gpu, self._rows, self._fit = gpu, rows, fit
        self._grids: dict[tuple[int, int, int], tuple[LogGrid, str] | None] = {}

    def at(
        self, start: float, end: float, heads: int, kv_heads: int, head_dim: int, window: int
    ) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.prefill_attention`."""
        kv = MULTI_HEAD if kv_heads == heads else kv_heads
        slices = [(head_dim, window, kv), (head_dim, 0, kv)]
        for key in slices:
            if key not in self._grids:
                self._grids[key] = self._build(*key)
        own, full = (self._grids[key] for key in slices)

        def whole(tokens: float) -> Timing:
            if own is not None:
                return _as(own[0].at(heads, tokens), own[1])
            if full is not None:
                share = _pairs(tokens, window) / _pairs(tokens, 0)
                timing = full[0].at(heads, tokens)
                return _as(Timing(timing.seconds * share, timing.kind), "fitted")
            pairs = _pairs(tokens, window)
            return Timing(self._fit.seconds(pairs, heads, head_dim, self._gpu), "fitted")

        return chunk(whole, start, end)

    def _build(self, head_dim: int, window: int, kv_heads: int) -> tuple[LogGrid, str] | None:
        rows = self._rows
        keep = (rows["head_dim"] == head_dim) & (rows["window"] == window)
        kind = "measured"
        if kv_heads == MULTI_HEAD:
            keep &= rows["kv_heads"] == rows["heads"]
        else:
            known = np.unique(rows["kv_heads"][keep & (rows["kv_heads"] < rows["heads"])])
            near = min(known, key=lambda k: abs(int(k) - kv_heads), default=kv_heads)
            keep &= rows["kv_heads"] == near
            kind = "measured" if near == kv_heads else "fitted"
        if not keep.any():
            return None
        columns = [rows[name][keep] for name in ("heads", "tokens")]
        axes, seconds = grid_of(columns, rows["seconds"][keep])
        return LogGrid(axes, seconds, (1.0, 1.0 if window else 2.0)), kind


def _as(timing: Timing, kind: str) -> Timing:
    return Timing(timing.seconds, weaker(timing.kind, kind))


def _pairs(tokens: float, window: int) -> float:
    return float(work.causal_pairs(np.array(tokens), np.array(float(window))))


def chunk(whole: Callable[[float], Timing], start: float, end: float) -> Timing:
    """Return max(A(end) - A(start), A(end - start)) for the time A of a whole prompt."""
    if start <= 0:
        return whole(end)
    last, first, fresh = whole(end), whole(start), whole(end - start)
    seconds = max(last.seconds - first.seconds, fresh.seconds)
    return Timing(seconds, weaker(last.kind, first.kind))
