"""Fitting the models of `fits` to table rows, when a database is imported or a machine measured.

All fits minimise soft-L1 of the logarithmic error (scale 0.1), so that a kernel's configuration
steps do not drag the constants. Expert rows above 512 tokens count a quarter: they identify the
compute efficiency without outweighing the steps that decoding and verifying take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.cleaning import CACHE_MARGIN, SHAPE, filtered, series
from simulator.kernels.fits import DecodeFit, ExpertFit, LatentDecodeFit, PrefillFit
from simulator.kernels.schema import ENGINES, Rows
from simulator.units import BYTES_PER_WEIGHT, US

Array = NDArray[np.float64]
Model = Callable[[Array], Array]

MANY_TOKENS = 512
MANY_TOKENS_WEIGHT = 0.25
SOFT = 0.1
NS = 1e-9
"""One nanosecond in seconds."""
MIN_SHAPES_LEFT_OUT = 3


def solve(
    model: Model,
    seconds: Array,
    starts: Sequence[Sequence[float]],
    low: Sequence[float],
    high: Sequence[float],
    weights: Array | None = None,
    gradient: Model | None = None,
) -> NDArray[np.float64]:
    """Return the parameters with the least soft-L1 logarithmic error over several starts.

    ``gradient`` gives the derivatives of the model, [rows, parameters]; without it they are taken
    by differences.
    """
    scale = np.ones(len(seconds)) if weights is None else np.sqrt(weights)
    target = np.log(seconds)

    def residual(parameters: Array) -> Array:
        return np.asarray((np.log(model(parameters)) - target) * scale)

    results = [
        least_squares(
            residual,
            start,
            jac="2-point" if gradient is None else partial(_slope, model, gradient, scale),
            bounds=(low, high),
            loss="soft_l1",
            f_scale=SOFT,
            x_scale=np.maximum(np.abs(start), 1e-9),
            tr_solver="lsmr",  # the exact one starts threads that cost five times what they do
        )
        for start in starts
    ]
    best = min(results, key=lambda result: float(result.cost))
    return np.asarray(best.x, dtype=float)


def _slope(model: Model, gradient: Model, scale: Array, parameters: Array) -> Array:
    """Return the derivatives of the logarithm of the model."""
    return np.asarray(gradient(parameters) * (scale / model(parameters))[:, None])


def errors(model: Array, seconds: Array) -> tuple[float, float]:
    """Return the median and the mean relative error."""
    relative = np.abs(model / seconds - 1)
    return float(np.median(relative)), float(relative.mean())


def _combine(first: Array, second: Array, exponent: float) -> Array:
    high = np.maximum(first, second)
    low = np.minimum(first, second)
    return np.asarray(high * (1 + (low / high) ** exponent) ** (1 / exponent))


def fit_experts(rows: Rows, gpu: Gpu, engine: str = ENGINES[0], slack: float = 1.0) -> ExpertFit:
    """Fit the pooled expert model to the kept balanced rows of one GPU, source and dtype.

    Uses gated shapes at expert parallelism 1 and tensor parallelism up to 8 (`poolable`). As in all
    fits here, ``slack`` widens the bounds, which are those of data-centre GPUs: times may be so
    many times longer, efficiencies so many times lower.
    """
    return fit_pooled_experts(filtered(rows, poolable(rows)), gpu, engine, slack)


def fit_pooled_experts(
    rows: Rows, gpu: Gpu, engine: str = ENGINES[0], slack: float = 1.0
) -> ExpertFit:
    """Fit the expert model to all of the rows, of one GPU, source and dtype; as `fit_experts`."""
    parameters = expert_parameters(rows, gpu, slack)
    median, mean = errors(ExpertModel(rows, gpu).seconds(parameters), rows["seconds"])
    left_out = _leave_one_shape_out(rows, gpu, slack)
    t0_us, per_expert_ns, per_active_ns, *ratios = parameters.tolist()
    return ExpertFit(
        **_origin(rows, gpu, engine),
        median_error=median,
        mean_error=mean,
        t0_s=t0_us * US,
        per_expert_s=per_expert_ns * NS,
        per_active_s=per_active_ns * NS,
        eta_bandwidth=ratios[0],
        activation_share=ratios[1],
        eta_compute=ratios[2],
        exponent=ratios[3],
        shapes=len(np.unique(series(rows, SHAPE))),
        unseen_median_error=float(np.median(left_out)) if left_out else float("nan"),
        unseen_worst_error=max(left_out, default=float("nan")),
    )


def poolable(rows: Rows) -> NDArray[np.bool_]:
    """Return a mask of the rows that the expert model is fitted to."""
    return np.asarray(
        (rows["matrices"] == 3) & (rows["expert_parallel"] == 1) & (rows["tensor_parallel"] <= 8)
    )


def _origin(rows: Rows, gpu: Gpu, engine: str) -> dict[str, Any]:
    first = {name: str(rows[name][0]) for name in ("dtype", "backend", "version")}
    return {"gpu": gpu.name, "engine": engine, **first, "rows": len(rows["seconds"])}


def _width(rows: Rows) -> float:
    """Return the bytes of one value in the format of the rows."""
    return BYTES_PER_WEIGHT[str(rows["dtype"][0])]


class ExpertModel:
    """The model of `fits.ExpertFit` over many balanced rows at once, with its derivatives.

    Parameters are, in order: t0 (us), time per expert and per touched expert (ns), eta_bandwidth,
    activation share, eta_compute and the exponent p.

    Parameters
    ----------
    rows
        Expert rows of one dtype; their times are not looked at.
    gpu
        The GPU, for its peaks.
    """

    def __init__(self, rows: Rows, gpu: Gpu) -> None:
        dtype = str(rows["dtype"][0])
        t, e, k, h, i, m, split, spread = (rows[name].astype(float) for name in _COLUMNS)
        local = t / spread
        self._experts, self._active = e / spread, np.minimum(e, t * k) / spread
        bandwidth = gpu.memory_bandwidth
        self._weights = self._active * work.expert_bytes(h, i, m, split, dtype) / bandwidth
        self._moved = work.expert_activation_bytes(local, h, i, m, split, k) / bandwidth
        self._computed = work.expert_flops(local, h, i, m, split, k) / gpu.peak(dtype)

    def seconds(self, parameters: Array) -> Array:
        """Return the time of every row, s."""
        memory, compute = self._roofs(parameters)
        t0_us, per_expert_ns, per_active_ns = parameters[:3]
        each = (per_expert_ns * self._experts + per_active_ns * self._active) * NS
        return np.asarray(t0_us * US + each + _combine(memory, compute, parameters[6]))

    def gradient(self, parameters: Array) -> Array:
        """Return the derivatives of `seconds`, [rows, parameters]."""
        eta_bandwidth, _, eta_compute, p = parameters[3:7]
        memory, compute = self._roofs(parameters)
        roof = _combine(memory, compute, p)
        low, high = memory / roof, compute / roof
        by_memory, by_compute = low ** (p - 1), high ** (p - 1)
        columns = (
            np.full(len(roof), US),
            self._experts * NS,
            self._active * NS,
            -by_memory * memory / eta_bandwidth,
            by_memory * self._moved / eta_bandwidth,
            -by_compute * compute / eta_compute,
            roof * (low**p * np.log(low) + high**p * np.log(high)) / p,
        )
        return np.stack(columns, axis=1)

    def _roofs(self, parameters: Array) -> tuple[Array, Array]:
        eta_bandwidth, activation_share, eta_compute = parameters[3:6]
        memory = (self._weights + activation_share * self._moved) / eta_bandwidth
        compute = self._computed / eta_compute
        return memory, compute


_COLUMNS = (
    "tokens", "experts", "top_k", "hidden", "inter", "matrices", "tensor_parallel",
    "expert_parallel",
)  # fmt: skip


def expert_parameters(rows: Rows, gpu: Gpu, slack: float = 1.0) -> NDArray[np.float64]:
    """Fit the expert model to rows of one GPU and dtype; the order is that of `ExpertModel`."""
    weights = np.where(rows["tokens"] > MANY_TOKENS, MANY_TOKENS_WEIGHT, 1.0)
    starts = [[30.0, 20.0, 20.0, 0.85, 1.0, 0.5, p] for p in (1.1, 2.0, 6.0)]
    low = [0.0, 0.0, 0.0, 0.1 / slack, 0.0, 0.02 / slack, 1.0]
    high = [300.0 * slack, 1000.0 * slack, 2000.0 * slack, 1.0, 5.0, 1.0, 8.0]
    model = ExpertModel(rows, gpu)
    return solve(model.seconds, rows["seconds"], starts, low, high, weights, model.gradient)


def _leave_one_shape_out(rows: Rows, gpu: Gpu, slack: float) -> list[float]:
    shapes = series(rows, SHAPE)
    found = np.unique(shapes)
    if len(found) < MIN_SHAPES_LEFT_OUT:
        return []
    medians = []
    for shape in found:
        parameters = expert_parameters(filtered(rows, shapes != shape), gpu, slack)
        unseen = filtered(rows, shapes == shape)
        seconds = ExpertModel(unseen, gpu).seconds(parameters)
        medians.append(errors(seconds, unseen["seconds"])[0])
    return medians


def fit_decode(rows: Rows, gpu: Gpu, engine: str = ENGINES[0], slack: float = 1.0) -> DecodeFit:
    """Fit decode attention to the rows without a window, all of one format."""
    rows = filtered(rows, rows["window"] == 0)
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    size = work.cache_bytes(batch, context, rows["kv_heads"], rows["head_dim"], _width(rows))
    read = size / gpu.memory_bandwidth
    queries = batch * rows["heads"]

    def model(parameters: Array) -> Array:
        t0_us, eta, per_head_ns = parameters
        return np.asarray(t0_us * 1e-6 + read / eta + per_head_ns * 1e-9 * queries)

    low, high = [0.1, 0.1 / slack, 0.0], [100.0 * slack, 1.0, 100.0 * slack]
    best = solve(model, rows["seconds"], [[10.0, 0.8, 1.0], [20.0, 0.5, 3.0]], low, high)
    median, mean = errors(model(best), rows["seconds"])
    same_median, same_p90 = head_batch_equivalence(rows, gpu)
    return DecodeFit(
        **_origin(rows, gpu, engine),
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


def fit_prefill(rows: Rows, gpu: Gpu, engine: str = ENGINES[0], slack: float = 1.0) -> PrefillFit:
    """Fit prefill attention to the rows without a window, all of one format."""
    rows = filtered(rows, rows["window"] == 0)
    pairs = work.causal_pairs(rows["tokens"].astype(float), np.zeros(1))
    peak = gpu.peak(str(rows["dtype"][0]))
    compute = work.attention_flops(pairs, rows["heads"], rows["head_dim"]) / peak

    def model(parameters: Array) -> Array:
        t0_us, eta = parameters
        return np.asarray(t0_us * 1e-6 + compute / eta)

    low, high = [0.1, 0.02 / slack], [100.0 * slack, 1.0]
    best = solve(model, rows["seconds"], [[10.0, 0.5]], low, high)
    median, mean = errors(model(best), rows["seconds"])
    return PrefillFit(
        **_origin(rows, gpu, engine),
        median_error=median,
        mean_error=mean,
        t0_s=best[0] * 1e-6,
        eta_compute=best[1],
    )


def fit_latent_decode(rows: Rows, gpu: Gpu, engine: str = ENGINES[0]) -> LatentDecodeFit:
    """Fit absorbed latent decode attention to rows whose cache exceeds the last-level cache.

    All rows are of one format.
    """
    width, peak = _width(rows), gpu.peak(str(rows["dtype"][0]))
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    size = work.latent_cache_bytes(batch, context, width)
    rows = filtered(rows, size > CACHE_MARGIN * gpu.l2_bytes)
    batch, context = rows["batch"].astype(float), rows["context"].astype(float)
    memory = work.latent_cache_bytes(batch, context, width) / gpu.memory_bandwidth
    compute = work.latent_flops(batch * context, rows["heads"]) / peak

    def model(parameters: Array) -> Array:
        t0_us, eta_bandwidth, eta_compute, exponent = parameters
        roof = _combine(memory / eta_bandwidth, compute / eta_compute, exponent)
        return np.asarray(t0_us * 1e-6 + roof)

    low, high = [0.1, 0.02, 0.02, 1.0], [200.0, 1.0, 1.0, 8.0]
    starts = [[15.0, 0.7, 0.5, p] for p in (1.1, 2.0, 6.0)]
    best = solve(model, rows["seconds"], starts, low, high)
    median, mean = errors(model(best), rows["seconds"])
    return LatentDecodeFit(
        **_origin(rows, gpu, engine),
        median_error=median,
        mean_error=mean,
        t0_s=best[0] * 1e-6,
        eta_bandwidth=best[1],
        eta_compute=best[2],
        exponent=best[3],
    )
