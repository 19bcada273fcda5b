"""Rules that decide which measured rows are kept, stated before any result was seen.

Every rule is a pure function from rows to a mask of the rows to keep. `clean` applies them in order
and counts what each dropped.

1. ``not_positive``: a time is finite and above zero.
2. ``half_activated``: DeepSeek-V3's shape (256 experts, 8 per token, 7168 wide, 2048 inner) in vllm
   0.24.0 and sglang 0.5.14. Their synthetic routing goes through the model's grouped top-k, which
   touches half of the experts; the times imply 1.4 to 1.8 times the memory bandwidth there is.
3. ``cache_hot``: expert rows whose touched weights are below 1.5 x the last-level cache; the
   benchmark replays the same experts, so they never left the cache.
4. ``off_plateau``: expert curves whose bandwidth on the plateau (every expert touched, at most four
   tokens each) lies outside 0.35 to 1.05 of peak: a broken kernel, or fewer experts than it says.
   The lower bound allows 50 us for the launches of one call, which small shards cannot amortise.
5. ``slower_kernel``: where one framework measured several kernels for one curve, the fastest stays.
6. ``covered``: rows of a less preferred source for a shape that a preferred one has; a shape of
   attention is a head width with a window.
7. ``duplicate``: repeated measurements are merged into their median.
8. ``faster_than_peak``: bytes or FLOPs at above 1.05 x peak, with at least 1.5 x the cache to read.
9. ``isolated_spike``: a row above 1.5 x both of its neighbours along the axis in which a time
   cannot fall (the first row: above 1.5 x the next two). Steps, after which all rows are higher,
   stay: serving meets them as well.
10. ``thinned``: dense products of engines other than vLLM, to keep the tables small. What stays is
    every number of tokens up to 16, then the powers of two and one and a half times them; inner
    dimensions of 64 to 51200, which hold those of all models, and at least 32 columns, the fewest
    measured with every inner dimension. The rules before look at all rows. Between the rows kept,
    those dropped are read back with a median error of 1 to 4 %, nine tenths within 17 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.schema import OPERATORS, Operator, Rows, sort_rows
from simulator.units import BYTES_PER_WEIGHT

Mask = NDArray[np.bool_]

CACHE_MARGIN = 1.5
PLATEAU_LOW, PLATEAU_HIGH = 0.35, 1.05
PLATEAU_TOKENS_PER_EXPERT = 4
LAUNCHES_S = 50e-6
"""Allowance for the kernels around the grouped products; the fits put it at 10 to 45 us."""

SPIKE = 1.5
HALF_ACTIVATED_SHAPE = (256, 8, 7168, 2048)
HALF_ACTIVATED_IN = {("vllm", "0.24.0"), ("sglang", "0.5.14")}

EVERY_TOKEN_UP_TO = 16
LEAST_COLUMNS = 32
LEAST_INNER, MOST_INNER = 64, 51200

SHAPE = ("experts", "top_k", "hidden", "inter", "matrices", "dtype")
CURVE = (*SHAPE, "tensor_parallel", "expert_parallel")
HEAD_SHAPE = ("dtype", "head_dim", "window")


def series(rows: Rows, names: Sequence[str]) -> NDArray[np.int64]:
    """Return for each row the number of its group; a group agrees in the named columns."""
    label = np.zeros(len(rows["seconds"]), dtype=np.int64)
    for name in names:
        _, codes = np.unique(rows[name], return_inverse=True)
        _, label = np.unique(label * (codes.max(initial=0) + 1) + codes, return_inverse=True)
    return np.asarray(label, dtype=np.int64)


def not_positive(rows: Rows, gpu: Gpu) -> Mask:
    """Keep finite times above zero (rule 1)."""
    return np.asarray(np.isfinite(rows["seconds"]) & (rows["seconds"] > 0))


def half_activated(rows: Rows, gpu: Gpu) -> Mask:
    """Drop the shape whose synthetic routing touched half of the experts (rule 2)."""
    same = np.ones(len(rows["seconds"]), dtype=bool)
    for name, value in zip(
        ("experts", "top_k", "hidden", "inter"), HALF_ACTIVATED_SHAPE, strict=True
    ):
        same &= rows[name] == value
    bad = [pair in HALF_ACTIVATED_IN for pair in zip(rows["backend"], rows["version"], strict=True)]
    return np.asarray(~(same & np.array(bad, dtype=bool)))


def value_bytes(rows: Rows) -> NDArray[np.float64]:
    """Return the bytes of one weight or cached value of every row, by its format."""
    dtypes, which = np.unique(rows["dtype"], return_inverse=True)
    return np.array([BYTES_PER_WEIGHT[dtype] for dtype in dtypes])[which]


def touched_bytes(rows: Rows) -> NDArray[np.float64]:
    """Weight bytes that one GPU reads under balanced routing: min(E, t K) / EP experts."""
    weights = rows["matrices"].astype(float) * rows["hidden"] * rows["inter"]
    touched = np.minimum(rows["experts"], rows["tokens"] * rows["top_k"]) / rows["expert_parallel"]
    return np.asarray(touched * weights / rows["tensor_parallel"] * value_bytes(rows))


def cache_hot(rows: Rows, gpu: Gpu) -> Mask:
    """Keep rows whose touched weights exceed 1.5 x the last-level cache (rule 3)."""
    return np.asarray(touched_bytes(rows) >= CACHE_MARGIN * gpu.l2_bytes)


def off_plateau(rows: Rows, gpu: Gpu) -> Mask:
    """Keep curves whose plateau implies 0.35 to 1.05 of peak bandwidth (rule 4)."""
    pairs = rows["tokens"] * rows["top_k"]
    plateau = (pairs >= rows["experts"]) & (pairs <= PLATEAU_TOKENS_PER_EXPERT * rows["experts"])
    at_peak_s = touched_bytes(rows) / gpu.memory_bandwidth
    too_fast = at_peak_s / rows["seconds"] / PLATEAU_HIGH
    too_slow = rows["seconds"] / (at_peak_s / PLATEAU_LOW + LAUNCHES_S)
    curves = series(rows, (*CURVE, "backend", "version", "kernel_source"))
    keep = np.ones(len(curves), dtype=bool)
    for curve in np.unique(curves[plateau]):
        inside = plateau & (curves == curve)
        if np.median(too_fast[inside]) > 1 or np.median(too_slow[inside]) > 1:
            keep[curves == curve] = False
    return keep


def slower_kernel(rows: Rows, gpu: Gpu) -> Mask:
    """Keep one kernel per curve and source, the one with the lowest geometric mean (rule 5).

    Kernels are compared over the token counts that all of them have.
    """
    curves = series(rows, (*CURVE, "backend", "version"))
    kernels = series(rows, ("kernel_source",))
    keep = np.ones(len(curves), dtype=bool)
    several = [c for c in np.unique(curves) if len(np.unique(kernels[curves == c])) > 1]
    for curve in several:
        inside = curves == curve
        found = np.unique(kernels[inside])
        common = set(rows["tokens"][inside])
        for kernel in found:
            common &= set(rows["tokens"][inside & (kernels == kernel)])
        shared = inside & np.isin(rows["tokens"], list(common)) if common else inside
        means = [np.log(rows["seconds"][shared & (kernels == k)]).mean() for k in found]
        keep[inside & (kernels != found[int(np.argmin(means))])] = False
    return keep


def covered(rows: Rows, gpu: Gpu) -> Mask:
    """Keep a shape's rows from its most preferred source only (rule 6).

    The column ``rank`` numbers the sources, 0 the most preferred.
    """
    shapes = series(rows, SHAPE if "experts" in rows else HEAD_SHAPE)
    best = np.full(shapes.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(best, shapes, rows["rank"])
    return np.asarray(rows["rank"] == best[shapes])


def merge_duplicates(rows: Rows, operator: Operator) -> Rows:
    """Merge rows of equal key and kernel into their median (rule 7)."""
    label = series(rows, [*operator.identity, "kernel_source"])
    if label.max(initial=-1) + 1 == len(label):
        return rows
    first = np.unique(label, return_index=True)[1]
    order = np.argsort(label, kind="stable")
    groups = np.split(rows["seconds"][order], np.cumsum(np.bincount(label))[:-1])
    merged = {name: column[first] for name, column in rows.items()}
    merged["seconds"] = np.array([np.median(group) for group in groups])
    return merged


def gemm_faster_than_peak(rows: Rows, gpu: Gpu) -> Mask:
    """Drop products above 1.05 x peak bandwidth or peak FLOP/s (rule 8)."""
    dtypes, which = np.unique(rows["dtype"], return_inverse=True)
    peak = np.array([gpu.peak(dtype) for dtype in dtypes])[which]
    size = value_bytes(rows) * rows["n"] * rows["k"]
    flops = 2.0 * rows["m"] * rows["n"] * rows["k"]
    return _within_peak(rows, gpu, size) & (flops / rows["seconds"] <= PLATEAU_HIGH * peak)


def decode_faster_than_peak(rows: Rows, gpu: Gpu) -> Mask:
    """Drop decodes that read their cache above 1.05 x peak bandwidth (rule 8)."""
    span = np.where(
        rows["window"] > 0, np.minimum(rows["context"], rows["window"]), rows["context"]
    )
    size = work.cache_bytes(
        rows["batch"].astype(float), span, rows["kv_heads"], rows["head_dim"], value_bytes(rows)
    )
    return _within_peak(rows, gpu, size)


def latent_faster_than_peak(rows: Rows, gpu: Gpu) -> Mask:
    """Drop latent decodes that read their cache above 1.05 x peak bandwidth (rule 8)."""
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    return _within_peak(rows, gpu, work.latent_cache_bytes(batch, context, value_bytes(rows)))


def _within_peak(rows: Rows, gpu: Gpu, size: NDArray[np.float64]) -> Mask:
    fast = size / rows["seconds"] > PLATEAU_HIGH * gpu.memory_bandwidth
    return np.asarray(~(fast & (size >= CACHE_MARGIN * gpu.l2_bytes)))


def isolated_spike(rows: Rows, operator: Operator) -> Mask:
    """Drop rows above 1.5 x both neighbours (rule 9); rows must be in the operator's order."""
    label = series(rows, [name for name in operator.identity if name != operator.grow_along])
    seconds = rows["seconds"]
    keep = np.ones(len(label), dtype=bool)
    inner = (label[1:-1] == label[:-2]) & (label[1:-1] == label[2:])
    keep[1:-1] = ~(inner & (seconds[1:-1] > SPIKE * np.maximum(seconds[:-2], seconds[2:])))
    first = np.r_[True, label[1:] != label[:-1]][:-2] & (label[:-2] == label[2:])
    keep[:-2] &= ~(first & (seconds[:-2] > SPIKE * np.maximum(seconds[1:-1], seconds[2:])))
    return keep


def thinned(rows: Rows) -> Mask:
    """Keep the dense products that interpolation needs (rule 10)."""
    m, k = rows["m"], rows["k"]
    odd_part = m // (m & -m)  # 1 for powers of two, 3 for one and a half times them
    tokens = (m <= EVERY_TOKEN_UP_TO) | np.isin(odd_part, (1, 3))
    inner = (k >= LEAST_INNER) & (k <= MOST_INNER)
    return np.asarray(tokens & inner & (rows["n"] >= LEAST_COLUMNS))


_RULES: dict[str, tuple[Callable[[Rows, Gpu], Mask], ...]] = {
    "experts": (half_activated, cache_hot, off_plateau, slower_kernel, covered),
    "decode_attention": (covered,),
    "prefill_attention": (covered,),
}
_PEAK_RULES: dict[str, Callable[[Rows, Gpu], Mask]] = {
    "gemm": gemm_faster_than_peak,
    "decode_attention": decode_faster_than_peak,
    "latent_decode": latent_faster_than_peak,
}


def clean(operator_name: str, rows: Rows, gpu: Gpu) -> tuple[Rows, dict[str, int]]:
    """Apply the rules of one operator.

    Parameters
    ----------
    operator_name
        One of `schema.OPERATORS`.
    rows
        Columns of the operator, ``seconds``, and ``rank`` (0 for the most preferred source).
    gpu
        The measured GPU, for its peaks and cache.

    Returns
    -------
    rows
        What is kept, sorted, without ``rank``.
    dropped
        Rows dropped or merged away, by rule; rules that dropped none are absent.
    """
    operator = OPERATORS[operator_name]
    rows = sort_rows(operator, rows)
    dropped: dict[str, int] = {}

    def count(name: str, kept: Rows) -> Rows:
        lost = len(rows["seconds"]) - len(kept["seconds"])
        if lost:
            dropped[name] = lost
        return kept

    for rule in (not_positive, *_RULES.get(operator_name, ())):
        rows = count(rule.__name__, filtered(rows, rule(rows, gpu)))
    rows = count("duplicate", merge_duplicates(rows, operator))
    rows = sort_rows(operator, rows)
    if operator_name in _PEAK_RULES:
        rows = count("faster_than_peak", filtered(rows, _PEAK_RULES[operator_name](rows, gpu)))
    rows = count("isolated_spike", filtered(rows, isolated_spike(rows, operator)))
    return {name: column for name, column in rows.items() if name != "rank"}, dropped


def filtered(rows: Rows, keep: Mask) -> Rows:
    """Return the rows that a mask keeps."""
    return {name: column[keep] for name, column in rows.items()}
