"""Routed experts of a model that was not measured: how well the fitted law predicts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.experts.laws import distinct_experts
from simulator.hardware.gpu import Gpu
from simulator.kernels import fitting, work
from simulator.kernels.cleaning import CURVE, SHAPE, filtered, series
from simulator.kernels.fits import ExpertFit, ExpertShape, load_fits
from simulator.kernels.grouped import ExpertTable
from simulator.kernels.schema import ENGINES, Rows, read_table
from simulator.study.tables.left_out import Array, LeftOut, median

RATIOS = (2, 4, 8)
"""m of T(m B) / T(B): a verify step has m = gamma + 1 times the tokens of a plain step."""

LARGEST_BATCH = 128
UNIFORM_TOKENS = range(1, 65)
"""Token counts over which times under uniform routing must be linear in the active experts."""


@dataclass(frozen=True, slots=True)
class ExpertsLeftOut:
    """Expert times of one GPU and dtype, each model's shape predicted from the other shapes.

    Parameters
    ----------
    rows
        The rows a fit is made of: one GPU per expert, gated, split over at most eight.
    spread
        The same shapes' remaining rows: experts spread over several GPUs, or ungated.
    ratio_errors
        Relative error of T(m B) / T(B) for the unseen shape, over `RATIOS` and batches up to 128.
    shapes
        Shapes measured; with fewer than three none is left out, and there are no predictions.
    eta_bandwidth
        Fraction of the peak bandwidth in the shipped fit.
    """

    rows: LeftOut
    spread: LeftOut
    ratio_errors: Array
    shapes: int
    eta_bandwidth: float

    @property
    def ratio_median(self) -> float:
        """Median relative error of the ratio; NaN without predictions."""
        return median(self.ratio_errors)


@dataclass(frozen=True, slots=True)
class LinearInExperts:
    """A straight line T = a + b N(t) through one shape's times under uniform routing.

    Parameters
    ----------
    gpu, dtype, shape
        What was timed, whole experts on one GPU.
    bandwidth_fraction
        Bytes of one expert / (b x peak bandwidth).
    mean_error
        Mean relative distance of the times from the line.
    r_squared
        Share of their variance that the line explains.
    """

    gpu: str
    dtype: str
    shape: str
    bandwidth_fraction: float
    mean_error: float
    r_squared: float


def leave_experts_out(gpu: Gpu, engine: str = ENGINES[0]) -> list[ExpertsLeftOut]:
    """Leave out each shape of each dtype of a GPU in turn, fit the others, predict it.

    Every row is predicted with the distinct experts that it was measured with. A shape whose rows
    come from another framework than the fit's is not part of this: it is another kernel.
    """
    return [_leave_shapes_out(gpu, fit, rows) for fit, rows in _tables(gpu, engine)]


def _tables(gpu: Gpu, engine: str) -> Iterator[tuple[ExpertFit, Rows]]:
    table = read_table(gpu.name, engine, "experts")
    for fit in load_fits()["experts"]:
        mine = (fit.gpu, fit.engine) == (gpu.name, engine)
        if table is not None and isinstance(fit, ExpertFit) and mine:
            same = (table["dtype"] == fit.dtype) & (table["backend"] == fit.backend)
            yield fit, filtered(table, same & (table["version"] == fit.version))


def _leave_shapes_out(gpu: Gpu, fit: ExpertFit, rows: Rows) -> ExpertsLeftOut:
    shapes = series(rows, SHAPE)
    fitted = fitting.poolable(rows)
    found = np.unique(shapes[fitted])
    predicted = np.full(len(shapes), np.nan)
    for shape in found if len(found) >= fitting.MIN_SHAPES_LEFT_OUT else []:
        left_out = shapes == shape
        parameters = fitting.expert_parameters(filtered(rows, fitted & ~left_out), gpu)
        unseen = fitting.ExpertModel(filtered(rows, left_out), gpu)
        predicted[left_out] = unseen.seconds(parameters)
    known = np.isfinite(predicted)
    inside = known & fitted

    def part(mask: NDArray[np.bool_]) -> LeftOut:
        measured = rows["seconds"][mask].astype(float)
        words = shape_words(filtered(rows, mask))
        return LeftOut("experts", gpu.name, fit.dtype, words, measured, predicted[mask])

    ratios = ratio_errors(filtered(rows, inside), predicted[inside])
    spread = part(known & ~fitted)
    return ExpertsLeftOut(part(inside), spread, ratios, len(found), fit.eta_bandwidth)


def shape_words(rows: Rows) -> NDArray[np.str_]:
    """Return E/K HxI of every row, like ``128/8 4096x1536``."""
    columns = (rows[name].tolist() for name in ("experts", "top_k", "hidden", "inter"))
    words = [f"{e}/{k} {h}x{i}" for e, k, h, i in zip(*columns, strict=True)]
    return np.array(words, dtype=np.str_)


def ratio_errors(rows: Rows, predicted: Array) -> Array:
    """Return the relative errors of T(m B) / T(B) wherever a curve has both token counts."""
    curves, tokens = series(rows, CURVE).tolist(), rows["tokens"].tolist()
    place = {key: index for index, key in enumerate(zip(curves, tokens, strict=True))}
    pairs = [
        (base, place[curve, m * batch])
        for (curve, batch), base in place.items()
        for m in RATIOS
        if batch <= LARGEST_BATCH and (curve, m * batch) in place
    ]
    low, high = np.array(pairs, dtype=int).reshape(-1, 2).T
    measured = rows["seconds"][high] / rows["seconds"][low]
    return np.asarray(np.abs(predicted[high] / predicted[low] / measured - 1), dtype=float)


def linear_in_experts(gpu: Gpu, engine: str = ENGINES[0]) -> list[LinearInExperts]:
    """Fit T = a + b N(t) to the times of every measured shape under uniform random routing.

    N(t) = E (1 - (1 - K/E)^t) for 1 to 64 tokens (MoESD eq. 8); the times are those that the cost
    model takes from the measured rows. Shapes of one expert, of ungated experts and of experts
    split or spread over GPUs are left out.
    """
    lines = []
    for fit, measured in _tables(gpu, engine):
        whole = fitting.poolable(measured) & (measured["tensor_parallel"] == 1)
        rows = filtered(measured, whole)
        table = ExpertTable(gpu, rows, {fit.dtype: fit})
        shapes = np.stack([rows[name] for name in ("experts", "top_k", "hidden", "inter")])
        for experts, top_k, hidden, inter in np.unique(shapes, axis=1).T.tolist():
            shape = ExpertShape(experts, top_k, hidden, inter, tensor_parallel=1)
            active = np.array([distinct_experts(experts, top_k, t) for t in UNIFORM_TOKENS])
            seconds = [
                table.at(t, n, shape, fit.dtype).seconds
                for t, n in zip(UNIFORM_TOKENS, active.tolist(), strict=True)
            ]
            expert = work.expert_bytes(float(hidden), float(inter), 3.0, 1.0, fit.dtype)
            slope, error, explained = straight_line(active, np.array(seconds))
            lines.append(
                LinearInExperts(
                    gpu.name,
                    fit.dtype,
                    f"{experts}/{top_k} {hidden}x{inter}",
                    expert / gpu.memory_bandwidth / slope,
                    error,
                    explained,
                )
            )
    return lines


def straight_line(x: Array, y: Array) -> tuple[float, float, float]:
    """Fit y = a + b x with least relative squares.

    Returns
    -------
    b, mean_error, r_squared
        Slope, mean relative distance from the line, share of the variance explained.

    Examples
    --------
    >>> straight_line(np.array([1.0, 2.0, 4.0]), np.array([5.0, 7.0, 11.0]))
    (2.0, 0.0, 1.0)
    """
    slope, offset = np.polynomial.Polynomial.fit(x, y, 1, w=1 / y).convert().coef[::-1]
    away = y - offset - slope * x
    explained = 1 - float(away @ away) / float(((y - y.mean()) ** 2).sum())
    return _tidy(slope), _tidy(float(np.abs(away / y).mean())), _tidy(explained)


def _tidy(value: float) -> float:
    """Drop what only rounding made."""
    return float(f"{value:.12g}") if abs(value) > 1e-12 else 0.0
