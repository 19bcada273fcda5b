"""Fitting the models of `fits` to table rows. Runs at import time of the database only.

All fits minimise soft-L1 of the logarithmic error (scale 0.1), so that a kernel's configuration
steps do not drag the constants. Expert rows above 512 tokens count a quarter: they identify the
compute efficiency without outweighing the steps that decoding and verifying take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.cleaning import CACHE_MARGIN, SHAPE, filtered, series
from simulator.kernels.fits import DecodeFit, ExpertFit, LatentDecodeFit, PrefillFit
from simulator.kernels.schema import Rows

Array = NDArray[np.float64]
Model = Callable[[Array], Array]

MANY_TOKENS = 512
MANY_TOKENS_WEIGHT = 0.25
SOFT = 0.1
MIN_SHAPES_LEFT_OUT = 3


def solve(
    model: Model,
    seconds: Array,
    starts: Sequence[Sequence[float]],
    low: Sequence[float],
    high: Sequence[float],
    weights: Array | None = None,
) -> NDArray[np.float64]:
    """Return the parameters with the least soft-L1 logarithmic error over several starts."""
    scale = np.ones(len(seconds)) if weights is None else np.sqrt(weights)
    target = np.log(seconds)

    def residual(parameters: Array) -> Array:
        return np.asarray((np.log(model(parameters)) - target) * scale)

    results = [
        least_squares(
            residual,
            start,
            bounds=(low, high),
            loss="soft_l1",
            f_scale=SOFT,
            x_scale=np.maximum(np.abs(start), 1e-9),
        )
        for start in starts
    ]
    best = min(results, key=lambda result: float(result.cost))
    return np.asarray(best.x, dtype=float)


def errors(model: Array, seconds: Array) -> tuple[float, float]:
    """Return the median and the mean relative error."""
    relative = np.abs(model / seconds - 1)
    return float(np.median(relative)), float(relative.mean())


def _combine(first: Array, second: Array, exponent: float) -> Array:
    high = np.maximum(first, second)
    low = np.minimum(first, second)
    return np.asarray(high * (1 + (low / high) ** exponent) ** (1 / exponent))


def fit_experts(rows: Rows, gpu: Gpu) -> ExpertFit:
    """Fit the pooled expert model to the kept balanced rows of one GPU, source and dtype.

    Uses gated shapes at expert parallelism 1 and tensor parallelism up to 8.
    """
    rows = filtered(rows, _poolable(rows))
    parameters = _expert_parameters(rows, gpu)
    model = _expert_model(rows, gpu)(parameters)
    median, mean = errors(model, rows["seconds"])
    left_out = _leave_one_shape_out(rows, gpu)
    return ExpertFit(
        **_origin(rows, gpu),
        median_error=median,
        mean_error=mean,
        t0_s=parameters[0] * 1e-6,
        per_expert_s=parameters[1] * 1e-9,
        eta_bandwidth=parameters[2],
        eta_compute=parameters[3],
        exponent=parameters[4],
        shapes=len(np.unique(series(rows, SHAPE))),
        unseen_median_error=float(np.median(left_out)) if left_out else float("nan"),
        unseen_worst_error=max(left_out, default=float("nan")),
    )


def _poolable(rows: Rows) -> NDArray[np.bool_]:
    return np.asarray(
        (rows["matrices"] == 3) & (rows["expert_parallel"] == 1) & (rows["tensor_parallel"] <= 8)
    )


def _origin(rows: Rows, gpu: Gpu) -> dict[str, Any]:
    first = {name: str(rows[name][0]) for name in ("dtype", "backend", "version")}
    return {"gpu": gpu.name, **first, "rows": len(rows["seconds"])}


def _expert_model(rows: Rows, gpu: Gpu) -> Model:
    dtype = str(rows["dtype"][0])
    t, e, k, h, i, m, split = (
        rows[name].astype(float)
        for name in ("tokens", "experts", "top_k", "hidden", "inter", "matrices", "tensor_parallel")
    )
    size = np.minimum(e, t * k) * work.expert_bytes(h, i, m, split, dtype)
    size += work.expert_activation_bytes(t, h, i, m, split, k)
    memory = size / gpu.memory_bandwidth
    compute = work.expert_flops(t, h, i, m, split, k) / gpu.peak(dtype)

    def model(parameters: Array) -> Array:
        t0_us, per_expert_ns, eta_bandwidth, eta_compute, exponent = parameters
        roof = _combine(memory / eta_bandwidth, compute / eta_compute, exponent)
        return np.asarray(t0_us * 1e-6 + per_expert_ns * 1e-9 * e + roof)

    return model


def _expert_parameters(rows: Rows, gpu: Gpu) -> NDArray[np.float64]:
    weights = np.where(rows["tokens"] > MANY_TOKENS, MANY_TOKENS_WEIGHT, 1.0)
    starts = [[30.0, 20.0, 0.85, 0.5, p] for p in (1.0, 2.0, 6.0)]
    low, high = [0.0, 0.0, 0.1, 0.02, 1.0], [300.0, 1000.0, 1.0, 1.0, 8.0]
    return solve(
        _expert_model(rows, gpu), rows["seconds"], _inside(starts, low, high), low, high, weights
    )


def _inside(
    starts: Sequence[Sequence[float]], low: Sequence[float], high: Sequence[float]
) -> list[list[float]]:
    """Nudge starting points off the bounds, as the solver wants them strictly inside."""
    return [
        [
            min(max(x, lo + 1e-3 * (hi - lo)), hi - 1e-3 * (hi - lo))
            for x, lo, hi in zip(s, low, high, strict=True)
        ]
        for s in starts
    ]


def _leave_one_shape_out(rows: Rows, gpu: Gpu) -> list[float]:
    shapes = series(rows, SHAPE)
    found = np.unique(shapes)
    if len(found) < MIN_SHAPES_LEFT_OUT:
        return []
    medians = []
    for shape in found:
        parameters = _expert_parameters(filtered(rows, shapes != shape), gpu)
        unseen = filtered(rows, shapes == shape)
        medians.append(errors(_expert_model(unseen, gpu)(parameters), unseen["seconds"])[0])
    return medians


def fit_decode(rows: Rows, gpu: Gpu) -> DecodeFit:
    """Fit decode attention to the rows without a window."""
    rows = filtered(rows, rows["window"] == 0)
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    read = (
        work.cache_bytes(batch, context, rows["kv_heads"], rows["head_dim"]) / gpu.memory_bandwidth
    )
    queries = batch * rows["heads"]

    def model(parameters: Array) -> Array:
        t0_us, eta, per_head_ns = parameters
        return np.asarray(t0_us * 1e-6 + read / eta + per_head_ns * 1e-9 * queries)

    low, high = [0.1, 0.1, 0.0], [100.0, 1.0, 100.0]
    best = solve(model, rows["seconds"], [[10.0, 0.8, 1.0], [20.0, 0.5, 3.0]], low, high)
    median, mean = errors(model(best), rows["seconds"])
    same_median, same_p90 = head_batch_equivalence(rows, gpu)
    return DecodeFit(
        **_origin(rows, gpu),
        median_error=median,
        mean_error=mean,
        t0_s=best[0] * 1e-6,
        eta_bandwidth=best[1],
        per_query_head_s=best[2] * 1e-9,
        equivalence_median_error=same_median,
        equivalence_p90_error=same_p90,
    )


def head_batch_equivalence(rows: Rows, gpu: Gpu) -> tuple[float, float]:
    """Test that b requests of 2k KV heads cost what 2b requests of k KV heads do.

    Returns
    -------
    median, p90
        Of the relative difference over all pairs of rows (4 and 8 KV heads) the table holds.
    """
    columns = [
        rows[name].tolist() for name in ("head_dim", "context", "kv_heads", "heads", "batch")
    ]
    table = dict(zip(zip(*columns, strict=True), rows["seconds"].tolist(), strict=True))
    differences = []
    for (head_dim, context, kv_heads, heads, batch), seconds in table.items():
        twin = table.get((head_dim, context, 4, heads // 2, 2 * batch))
        if kv_heads == 8 and heads % 2 == 0 and twin is not None:
            differences.append(abs(twin / seconds - 1))
    if not differences:
        return float("nan"), float("nan")
    return float(np.median(differences)), float(np.quantile(differences, 0.9))


def fit_prefill(rows: Rows, gpu: Gpu) -> PrefillFit:
    """Fit prefill attention to the rows without a window."""
    rows = filtered(rows, rows["window"] == 0)
    pairs = work.causal_pairs(rows["tokens"].astype(float), np.zeros(1))
    compute = work.attention_flops(pairs, rows["heads"], rows["head_dim"]) / gpu.peak("bfloat16")

    def model(parameters: Array) -> Array:
        t0_us, eta = parameters
        return np.asarray(t0_us * 1e-6 + compute / eta)

    best = solve(model, rows["seconds"], [[10.0, 0.5]], [0.1, 0.02], [100.0, 1.0])
    median, mean = errors(model(best), rows["seconds"])
    return PrefillFit(
        **_origin(rows, gpu),
        median_error=median,
        mean_error=mean,
        t0_s=best[0] * 1e-6,
        eta_compute=best[1],
    )


def fit_latent_decode(rows: Rows, gpu: Gpu) -> LatentDecodeFit:
    """Fit absorbed latent decode attention to rows whose cache exceeds the last-level cache."""
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    rows = filtered(rows, work.latent_cache_bytes(batch, context) > CACHE_MARGIN * gpu.l2_bytes)
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    memory = work.latent_cache_bytes(batch, context) / gpu.memory_bandwidth
    compute = work.latent_flops(batch * context, rows["heads"]) / gpu.peak("bfloat16")

    def model(parameters: Array) -> Array:
        t0_us, eta_bandwidth, eta_compute, exponent = parameters
        roof = _combine(memory / eta_bandwidth, compute / eta_compute, exponent)
        return np.asarray(t0_us * 1e-6 + roof)

    low, high = [0.1, 0.02, 0.02, 1.0], [200.0, 1.0, 1.0, 8.0]
    starts = [[15.0, 0.7, 0.5, p] for p in (1.1, 2.0, 6.0)]
    best = solve(model, rows["seconds"], starts, low, high)
    median, mean = errors(model(best), rows["seconds"])
    return LatentDecodeFit(
        **_origin(rows, gpu),
        median_error=median,
        mean_error=mean,
        t0_s=best[0] * 1e-6,
        eta_bandwidth=best[1],
        eta_compute=best[2],
        exponent=best[3],
    )
