"""Dispatch and combine of routed experts: DeepEP as measured, and on links beyond that.

Rows
    Times of DeepEP's kernels over tokens per GPU, one curve per kind, number of GPUs and nodes, and
    shape of the model (`kernels.deepep`). Where the kernels were not measured alone, vLLM's rows
    serve, which hold what the host takes as well.
Other models (fitted)
    The curve of the model nearest in bytes, and in experts for low latency, read where as many
    bytes leave a GPU.
Other numbers of GPUs in one node (assumed)
    The same, by the bytes that leave a GPU; latency stays as measured.
Numbers of nodes that were not measured (assumed)
    The time over fewer, and what the closed forms of a topology say that the others add::

        T(n, m) = T(n0, m) + F(n, m) - F(n0, m)

    as for all collectives (`kernels.communication`). n0 is the most nodes that were measured with
    as many GPUs each, else the GPUs of one node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TableError
from simulator.hardware.exchange import KINDS, LOW_LATENCY, Exchange, exchange_line
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology
from simulator.kernels.cleaning import filtered
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import Rows
from simulator.kernels.stand_in import over_links
from simulator.kernels.timing import Timing, weaker

DISPATCH, COMBINE = PHASES = ("dispatch", "combine")
"""Tokens to their experts, and results back."""

DISPATCH_BYTES = 1.0 + 4.0 / 128
"""Bytes of an element that is dispatched in fp8: one fp32 scale per 128 (DeepEP's README)."""

COMBINE_BYTES = 2.0
"""Bytes of an element that comes back, in bfloat16."""

_MODES = {kind: "deepep_ll" if kind == LOW_LATENCY else "deepep_ht" for kind in KINDS}
_KERNELS_ALONE = "sglang"
"""Backend whose rows hold the kernels alone."""

_SHAPE = ("hidden", "top_k", "experts")
_PLACE = ("phase", "mode", "gpus", "nodes")
"""Columns that tell models apart, and those that tell exchanges apart."""


class Curve(NamedTuple):
    """Times of one exchange, of one model's tokens, over tokens per GPU.

    Parameters
    ----------
    exchange, hidden
        Who exchanges, and how wide tokens are.
    token_bytes
        Of one copy of a token.
    tokens, seconds
        What was measured, by tokens per GPU.
    grid
        The same, to be read anywhere.
    """

    exchange: Exchange
    hidden: int
    token_bytes: float
    tokens: NDArray[np.float64]
    seconds: NDArray[np.float64]
    grid: LogGrid

    @property
    def leaving_bytes(self) -> float:
        """What a GPU sends over the narrowest links for each of its tokens, bytes."""
        return self.exchange.copies * self.token_bytes

    def at(self, tokens: float) -> Timing:
        """Return the time of so many tokens per GPU."""
        return self.grid.at(tokens)


class Place(NamedTuple):
    """What was measured, whatever the model."""

    phase: str
    kind: str
    gpus: int
    nodes: int


class ExchangeTable:
    """Times of dispatch and combine on one measured GPU.

    Parameters
    ----------
    gpu
        The measured GPU.
    curves
        Those of every place (`read_curves`); none where it was not measured.
    """

    def __init__(self, gpu: Gpu, curves: Mapping[Place, Sequence[Curve]]) -> None:
        self._gpu = gpu
        self._curves = curves
        self._chosen: dict[tuple[str, Exchange, int, float], Curve] = {}

    def at(
        self,
        phase: str,
        tokens: float,
        exchange: Exchange,
        hidden: int,
        element_bytes: float,
        gpu: Gpu,
        topology: Topology | None = None,
    ) -> Timing:
        """Return the time of one exchange.

        Parameters
        ----------
        phase
            One of `PHASES`.
        tokens
            Tokens that each GPU holds.
        exchange, hidden, element_bytes
            Who exchanges, the width of a token, and the bytes of an element.
        gpu
            The GPU asked about, whose NVLink may be another (`stand_in.over_links`).
        topology
            What the GPUs are linked by; asked for numbers of nodes that were not measured.

        Raises
        ------
        TableError
            If this kind was not measured on the GPU, or over so many nodes and there is no
            topology.
        """
        if exchange.gpus == 1:
            return Timing(0.0, "measured")
        token_bytes = hidden * element_bytes
        curve = self._curve(phase, exchange, hidden, token_bytes)
        measured = (curve.exchange.gpus, curve.exchange.nodes) == (exchange.gpus, exchange.nodes)
        if measured or exchange.nodes == 1:
            timing = self._by_bytes(curve, tokens * exchange.copies * token_bytes, gpu)
            exact = (curve.exchange, curve.hidden) == (exchange, hidden)
            if exact and isclose(curve.token_bytes, token_bytes):
                return timing
            kind = weaker(timing.kind, "fitted" if measured else "assumed")
            return timing._replace(kind=kind)
        if topology is None:
            raise TableError(self._unmeasured(phase, exchange))
        nodes = curve.exchange.nodes
        fewer = replace(exchange, gpus=nodes * exchange.gpus // exchange.nodes, nodes=nodes)
        timing = self._by_bytes(curve, tokens * fewer.copies * token_bytes, gpu)
        held_bytes = tokens * token_bytes
        far_s, near_s = (exchange_line(topology, e).at(held_bytes) for e in (exchange, fewer))
        return Timing(timing.seconds + max(0.0, far_s - near_s), "assumed")

    def _by_bytes(self, curve: Curve, leaving_bytes: float, gpu: Gpu) -> Timing:
        """Read a curve where so many bytes leave a GPU."""
        timing = curve.at(leaving_bytes / curve.leaving_bytes)
        if curve.exchange.nodes > 1:
            return timing  # not over NVLink for the most part
        return over_links(timing, curve.at(0.0), self._gpu, gpu)

    def _curve(self, phase: str, exchange: Exchange, hidden: int, token_bytes: float) -> Curve:
        """Return the curve to read, or to scale from; chosen once."""
        key = phase, exchange, hidden, token_bytes
        if key not in self._chosen:
            self._chosen[key] = _nearest(self._reference(phase, exchange), *key[1:])
        return self._chosen[key]

    def _reference(self, phase: str, exchange: Exchange) -> Sequence[Curve]:
        """Return the curves of a place, or of the one to scale from.

        That is one of as many GPUs a node and the most nodes below those asked for, else one node.
        """
        places = [place for place in self._curves if place[:2] == (phase, exchange.kind)]
        if not places:
            raise TableError(
                f"{exchange.kind} was not measured on {self._gpu.title}; use "
                "hardware.all2all_backend=allgather_reducescatter there."
            )
        size = exchange.gpus // exchange.nodes
        alike = [p for p in places if p.gpus // p.nodes == size and p.nodes <= exchange.nodes]
        fewest = min(places, key=lambda place: (place.nodes, place.gpus))
        return self._curves[max(alike, default=fewest)]

    def _unmeasured(self, phase: str, exchange: Exchange) -> str:
        places = sorted(place for place in self._curves if place[:2] == (phase, exchange.kind))
        known = ", ".join(f"{place.gpus} in {place.nodes}" for place in places)
        return (
            f"{exchange.kind} over {exchange.gpus} GPUs in {exchange.nodes} nodes was not measured "
            f"on {self._gpu.title}; measured: {known}. Name what links them (hardware.topology)."
        )


def _nearest(curves: Sequence[Curve], exchange: Exchange, hidden: int, token_bytes: float) -> Curve:
    """Return the curve of the model, else of the nearest in bytes that a token sends.

    The low-latency kernels work by expert, so there the number of experts counts as much: for eight
    experts an H100 takes four times as long as for 256 of as many bytes.
    """

    def distance(curve: Curve) -> tuple[bool, float]:
        own = replace(exchange, gpus=curve.exchange.gpus, nodes=curve.exchange.nodes)
        same = curve.exchange == own and curve.hidden == hidden
        apart = abs(log(own.copies * token_bytes / curve.leaving_bytes))
        if exchange.kind == LOW_LATENCY:
            apart += abs(log(exchange.experts / curve.exchange.experts))
        return not same, apart

    return min(curves, key=distance)


def read_curves(rows: Rows | None) -> dict[Place, list[Curve]]:
    """Return the curves of every place, from the rows of ``all_to_all``; none without rows."""
    if rows is None:
        return {}
    kinds = {mode: kind for kind, mode in _MODES.items()}
    places = [
        Place(phase, kinds[mode], gpus, nodes)
        for phase, mode, gpus, nodes in _distinct(rows, *_PLACE)
        if mode in kinds
    ]
    return {place: _curves(_kernels_alone(rows, place), place) for place in places}


def _kernels_alone(rows: Rows, place: Place) -> Rows:
    """Return the rows of a place; those of the kernels alone where there are any."""
    mine = _equal(rows, _PLACE, place._replace(kind=_MODES[place.kind]))
    alone = mine & (rows["backend"] == _KERNELS_ALONE)
    return filtered(rows, alone if alone.any() else mine)


def _curves(rows: Rows, place: Place) -> list[Curve]:
    """Return one curve per shape, of its newest rows."""
    found = []
    for hidden, top_k, experts in _distinct(rows, *_SHAPE):
        shape = filtered(rows, _equal(rows, _SHAPE, (hidden, top_k, experts)))
        part = filtered(shape, shape["version"] == max(shape["version"].tolist(), key=_numbers))
        fp8 = place.phase == DISPATCH and part["backend"][0] == _KERNELS_ALONE
        token_bytes = hidden * (DISPATCH_BYTES if fp8 else COMBINE_BYTES)
        tokens, seconds = (part[name].astype(float) for name in ("tokens", "seconds"))
        exchange = Exchange(*place[1:], top_k, experts)
        grid = LogGrid([tokens], seconds, (1.0,))
        found.append(Curve(exchange, hidden, token_bytes, tokens, seconds, grid))
    return found


def _numbers(version: str) -> list[int]:
    """Return what versions are ordered by: 0.5.12 is newer than 0.5.6.post2."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _distinct(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    columns = [rows[name].tolist() for name in names]
    return sorted(set(zip(*columns, strict=True)))


def _equal(rows: Rows, names: Sequence[str], values: Sequence[Any]) -> NDArray[np.bool_]:
    masks = [rows[name] == value for name, value in zip(names, values, strict=True)]
    return np.asarray(np.all(masks, axis=0))
