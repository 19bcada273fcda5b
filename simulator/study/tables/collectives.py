"""Measured collectives and exchanges, each left out once and predicted from the rest.

Sizes
    One message size between two others, of one number of GPUs: what interpolation is off by.
Models
    One model's curve of DeepEP, from that of the model nearest in bytes: what "fitted" is off by.
Nodes
    One number of nodes, from the curves over fewer and a topology: what "assumed" is off by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology
from simulator.kernels.cleaning import filtered
from simulator.kernels.exchange import Curve, ExchangeTable, Place, read_curves
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import ENGINES, read_table
from simulator.study.tables.left_out import Array, LeftOut

NCCL = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
"""Collectives of NCCL that were measured."""

Curves = Mapping[Place, Sequence[Curve]]
Predictions = Iterator[tuple[str, float, float]]
"""Rows left out: the group in words, the measured time and the predicted, s."""


@dataclass(frozen=True, slots=True)
class CollectivesLeftOut:
    """Everything of one GPU that was left out, by what was left out.

    Parameters
    ----------
    gpu
        Its name.
    sizes, models, nodes
        By name of the collective or exchange; those that were not measured are missing.
    """

    gpu: str
    sizes: dict[str, LeftOut]
    models: dict[str, LeftOut]
    nodes: dict[str, LeftOut]


def leave_collectives_out(gpu: Gpu, topology: Topology) -> CollectivesLeftOut:
    """Leave out sizes, models and numbers of nodes, and predict them.

    Parameters
    ----------
    gpu
        A measured GPU.
    topology
        What links its nodes, for numbers of nodes that are left out.
    """
    curves = read_curves(read_table(gpu.name, ENGINES[0], "all_to_all"))
    by_exchange = _by_exchange(gpu, curves)
    return CollectivesLeftOut(
        gpu.name,
        _collectives(gpu) | by_exchange(_exchange_sizes),
        by_exchange(lambda part: _models(gpu, part)),
        by_exchange(lambda part: _nodes(gpu, part, topology)),
    )


def _collectives(gpu: Gpu) -> dict[str, LeftOut]:
    """Leave out message sizes of the engine's all-reduce, and of NCCL's collectives."""
    tables = {"all_reduce": read_table(gpu.name, ENGINES[0], "all_reduce")}
    nccl = read_table(gpu.name, ENGINES[0], "nccl")
    if nccl is not None:
        tables |= {f"nccl_{n}": filtered(nccl, nccl["collective"] == n) for n in NCCL}
    found = {}
    for name, rows in tables.items():
        if rows is not None:
            predictions = (
                prediction
                for gpus in np.unique(rows["gpus"]).tolist()
                for part in (filtered(rows, rows["gpus"] == gpus),)
                for prediction in _points(f"{gpus} GPUs", part["message"], part["seconds"])
            )
            found[name] = _table(name, gpu, predictions)
    return found


def _points(words: str, sizes: Array, seconds: Array) -> Predictions:
    """Predict every size between two others as a table without it would."""
    sizes, seconds = sizes.astype(float), seconds.astype(float)
    for place in range(1, len(sizes) - 1):
        rest = LogGrid([np.delete(sizes, place)], np.delete(seconds, place), (1.0,))
        yield words, float(seconds[place]), rest.at(float(sizes[place])).seconds


def _by_exchange(
    gpu: Gpu, curves: Curves
) -> Callable[[Callable[[Curves], Predictions]], dict[str, LeftOut]]:
    """Return what predicts each phase of each kind of exchange apart."""

    def tables(predict: Callable[[Curves], Predictions]) -> dict[str, LeftOut]:
        found = {}
        for phase, kind in dict.fromkeys(place[:2] for place in curves):
            part = {place: c for place, c in curves.items() if place[:2] == (phase, kind)}
            name = f"{kind}_{phase}"
            table = _table(name, gpu, predict(part))
            if len(table.group):
                found[name] = table
        return found

    return tables


def _exchange_sizes(curves: Curves) -> Predictions:
    for place, curve in _each(curves):
        yield from _points(f"{place.gpus} GPUs", curve.tokens, curve.seconds)


def _models(gpu: Gpu, curves: Curves) -> Predictions:
    """Predict every model from the others that were measured over as many GPUs."""
    for place, curve in _each(curves):
        others = [other for other in curves[place] if other is not curve]
        if others:
            table = ExchangeTable(gpu, {place: others})
            yield from _curve(table, gpu, place, curve)


def _nodes(gpu: Gpu, curves: Curves, topology: Topology) -> Predictions:
    """Predict every number of nodes from fewer."""
    for place, curve in _each(curves):
        fewer = {other: found for other, found in curves.items() if other.nodes < place.nodes}
        if fewer:
            yield from _curve(ExchangeTable(gpu, fewer), gpu, place, curve, topology)


def _each(curves: Curves) -> Iterator[tuple[Place, Curve]]:
    return ((place, curve) for place, found in curves.items() for curve in found)


def _curve(
    table: ExchangeTable, gpu: Gpu, place: Place, curve: Curve, topology: Topology | None = None
) -> Predictions:
    """Predict every row of a curve that a table lacks."""
    model = f"{curve.exchange.experts}/{curve.exchange.top_k} x {curve.hidden}"
    words = f"{model}, {place.gpus} GPUs"
    element_bytes = curve.token_bytes / curve.hidden
    for tokens, seconds in zip(curve.tokens.tolist(), curve.seconds.tolist(), strict=True):
        asked = place.phase, tokens, curve.exchange, curve.hidden, element_bytes
        yield words, seconds, table.at(*asked, gpu, topology).seconds


def _table(name: str, gpu: Gpu, predictions: Iterable[tuple[str, float, float]]) -> LeftOut:
    rows = list(predictions)
    words, measured, predicted = zip(*rows, strict=True) if rows else ((), (), ())
    return LeftOut(
        name,
        gpu.name,
        "",
        np.array(words, dtype=np.str_),
        np.array(measured, dtype=float),
        np.array(predicted, dtype=float),
    )
