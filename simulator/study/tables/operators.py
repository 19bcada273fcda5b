"""Attention, dense products and all-reduces of shapes that were not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import nan
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.gpu import Gpu
from simulator.kernels import fitting
from simulator.kernels.attention import DecodeAttention, PrefillAttention
from simulator.kernels.cleaning import filtered, series
from simulator.kernels.collective import CollectiveTable
from simulator.kernels.fits import DecodeFit, PrefillFit
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.schema import ENGINES, MONOTONE, OPERATORS, Rows, read_table
from simulator.study.tables.left_out import Array, LeftOut

F = TypeVar("F")

HEADS = ("heads", "kv_heads", "head_dim")

_NO_FIT: dict[str, Any] = {
    "gpu": "",
    "engine": "",
    "dtype": "bfloat16",
    "backend": "",
    "version": "",
    "rows": 0,
    "median_error": nan,
    "mean_error": nan,
}


def decode_attention(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one configuration of heads (query heads, KV heads, width), all its windows."""
    blind = DecodeFit(**_NO_FIT, t0_s=nan, eta_bandwidth=nan, per_query_head_s=nan,
                      equivalence_median_error=nan, equivalence_p90_error=nan)  # fmt: skip

    def predict(rest: Rows, unseen: Rows) -> Array:
        # Only rows of its own width are ever asked about a shape; the rest would cost time.
        near = filtered(rest, rest["head_dim"] == unseen["head_dim"][0])

        def ask(fit: DecodeFit) -> Array:
            table = DecodeAttention(gpu, near, fit, str(rest["dtype"][0]))
            columns = _lists(unseen, ("batch", "context", *HEADS, "window"))
            return np.array([table.at(b, c, 1, *shape).seconds for b, c, *shape in columns])

        return _with_fit_if_asked(ask, blind, lambda: fitting.fit_decode(rest, gpu))

    return _leave_out("decode_attention", gpu, engine, HEADS, _heads, predict)


def prefill_attention(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one configuration of heads (query heads, KV heads, width), all its windows."""
    blind = PrefillFit(**_NO_FIT, t0_s=nan, eta_compute=nan)

    def predict(rest: Rows, unseen: Rows) -> Array:
        def ask(fit: PrefillFit) -> Array:
            table = PrefillAttention(gpu, rest, fit)
            columns = _lists(unseen, ("tokens", *HEADS, "window"))
            return np.array([table.at(0.0, tokens, *shape).seconds for tokens, *shape in columns])

        return _with_fit_if_asked(ask, blind, lambda: fitting.fit_prefill(rest, gpu))

    return _leave_out("prefill_attention", gpu, engine, HEADS, _heads, predict)


def _with_fit_if_asked(ask: Callable[[F], Array], blind: F, fit: Callable[[], F]) -> Array:
    """Predict with a fit to the rest, made only where the rest's own rows do not answer alone."""
    predicted = ask(blind)
    return ask(fit()) if np.isnan(predicted).any() else predicted


def latent_decode(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one number of heads between two others."""
    return _leave_heads_out(
        "latent_decode", gpu, engine, ("heads", "context", "batch"), (1.0, 1.0, 1.0)
    )


def latent_prefill(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one number of heads between two others."""
    return _leave_heads_out("latent_prefill", gpu, engine, ("heads", "tokens"), (1.0, 2.0))


def _leave_heads_out(
    operator: str, gpu: Gpu, engine: str, axes: tuple[str, ...], powers: Sequence[float]
) -> list[LeftOut]:
    def predict(rest: Rows, unseen: Rows) -> Array:
        grid = LogGrid(*grid_of([rest[n] for n in axes], rest["seconds"].astype(float)), powers)
        return np.array([grid.at(*point).seconds for point in _lists(unseen, axes)])

    return _leave_out(
        operator, gpu, engine, ("heads",), "{} heads".format, predict, between=("heads",)
    )


def all_reduce(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one message size between two others."""

    def predict(rest: Rows, unseen: Rows) -> Array:
        table = CollectiveTable("all-reduce", gpu.name, rest)
        return np.array(
            [table.at(size, gpus).seconds for size, gpus in _lists(unseen, ("message", "gpus"))]
        )

    keys = ("message", "gpus")
    words = "{} bytes, {} GPUs".format
    return _leave_out("all_reduce", gpu, engine, keys, words, predict, between=keys)


def _leave_out(
    operator: str,
    gpu: Gpu,
    engine: str,
    keys: tuple[str, ...],
    words: Callable[..., str],
    predict: Callable[[Rows, Rows], Array],
    between: tuple[str, ...] = (),
) -> list[LeftOut]:
    """Leave out each group of rows that agree in the keys, and predict it from the rest.

    Formats are looked at one by one. With ``between``, groups at an end of the first key (among
    rows that agree in the others) stay: nothing lies beyond them to interpolate with.
    """
    table = read_table(gpu.name, engine, operator, _columns(operator))
    if table is None:
        return []
    parts = (filtered(table, table["dtype"] == dtype) for dtype in np.unique(table["dtype"]))
    return [_leave_groups_out(operator, gpu, rows, keys, words, predict, between) for rows in parts]


def _leave_groups_out(
    operator: str,
    gpu: Gpu,
    rows: Rows,
    keys: tuple[str, ...],
    words: Callable[..., str],
    predict: Callable[[Rows, Rows], Array],
    between: tuple[str, ...],
) -> LeftOut:
    groups = series(rows, keys)
    predicted = np.full(len(groups), nan)
    for group in np.unique(groups[_inner(rows, between)]):
        unseen = groups == group
        predicted[unseen] = predict(filtered(rows, ~unseen), filtered(rows, unseen))
    known = np.isfinite(predicted)
    names = np.array([words(*row) for row in _lists(filtered(rows, known), keys)], dtype=np.str_)
    measured = rows["seconds"][known].astype(float)
    return LeftOut(operator, gpu.name, str(rows["dtype"][0]), names, measured, predicted[known])


def _columns(operator: str) -> list[str]:
    form = OPERATORS[operator]
    return ["dtype", "backend", "version", *form.keys, *form.times]


def _inner(rows: Rows, between: tuple[str, ...]) -> NDArray[np.bool_]:
    keep = np.ones(len(rows["seconds"]), dtype=bool)
    if between:
        first, *others = between
        lines = series(rows, others)
        for line in np.unique(lines):
            values = rows[first][lines == line]
            ends = (rows[first] == values.min()) | (rows[first] == values.max())
            keep &= ~((lines == line) & ends)
    return keep


def _heads(heads: int, kv_heads: int, head_dim: int) -> str:
    return f"{heads} heads on {kv_heads}, {head_dim} wide"


def _lists(rows: Rows, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].tolist() for name in names), strict=True)


def dense_products(gpu: Gpu, engine: str = ENGINES[0]) -> list[LeftOut]:
    """Leave out one weight shape (n, k), and interpolate it at every number of tokens.

    The neighbours are those along k; at the ends of k, those along n, as `kernels.loggrid` fills
    holes. The four corners of the grid have no neighbours on both sides and stay.
    """
    rows = read_table(gpu.name, engine, "gemm", _columns("gemm"))
    if rows is None:
        return []
    found = []
    for dtype in np.unique(rows["dtype"]).tolist():
        part = filtered(rows, rows["dtype"] == dtype)
        predicted = hole_times(part)
        known = np.isfinite(predicted)
        names = [f"n {n}, k {k}" for n, k in _lists(filtered(part, known), ("n", "k"))]
        measured = part["seconds"][known].astype(float)
        found.append(
            LeftOut(
                "gemm", gpu.name, dtype, np.array(names, dtype=np.str_), measured, predicted[known]
            )
        )
    return found


def hole_times(rows: Rows) -> Array:
    """Return what the grid of dense products would say for every row, were its (n, k) a hole.

    Parameters
    ----------
    rows
        Dense products of one dtype.

    Returns
    -------
    Array
        Times, s; NaN where a neighbour is missing as well.
    """
    keys = ("n", "k", "m")
    axes, times = grid_of([rows[name] for name in keys], rows[MONOTONE].astype(float))
    logs = np.log(times)
    along_k = _between_neighbours(np.log(axes[1]), logs.swapaxes(0, 1)).swapaxes(0, 1)
    along_n = _between_neighbours(np.log(axes[0]), logs)
    filled = np.where(np.isnan(along_k), along_n, along_k)
    places = [np.searchsorted(axis, rows[name]) for axis, name in zip(axes, keys, strict=True)]
    return np.asarray(np.exp(filled[tuple(places)]))


def _between_neighbours(axis: Array, values: Array) -> Array:
    """Interpolate every inner value along the first axis from the two beside it; ends are NaN."""
    filled = np.full_like(values, nan)
    share = (axis[1:-1] - axis[:-2]) / (axis[2:] - axis[:-2])
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    filled[1:-1] = values[:-2] * (1 - share) + values[2:] * share
    return filled


CHECKS: tuple[Callable[[Gpu, str], list[LeftOut]], ...] = (
    decode_attention,
    prefill_attention,
    latent_decode,
    latent_prefill,
    dense_products,
    all_reduce,
)
"""One per operator."""
