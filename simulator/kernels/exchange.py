"""Dispatch and combine of routed experts: DeepEP as measured, and on links beyond that.

Rows
    Times of DeepEP's kernels over tokens per GPU, one curve per kind, number of GPUs and nodes, and
    shape of the model (`kernels.deepep`). Where the kernels were not measured alone, vLLM's rows
    serve, which hold what the host takes as well.
Other models (fitted)
    The curve of the model nearest in bytes, read where as many bytes leave a GPU.
Other numbers of GPUs in one node (assumed)
    The same, by the bytes that leave a GPU; latency stays as measured.
More nodes than were measured (assumed)
    The curve over the most nodes that were, read where the fullest channel of the topology is busy
    for as long, plus what latency the longer routes add. So the share of the peak that was reached
    carries over.
Nodes where one node was measured (assumed)
    Two parts that go on side by side: what stays within nodes, read from that curve by bytes, and
    what leaves them, at the peak of the topology, after the least time that was measured and the
    latency that the routes add. DeepEP's kernels reach 0.95 of that peak on InfiniBand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TableError
from simulator.hardware.exchange import KINDS, LOW_LATENCY, Exchange, burden
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology
from simulator.kernels.cleaning import filtered
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import Rows
from simulator.kernels.stand_in import over_links
from simulator.kernels.timing import Timing, weaker

DISPATCH, COMBINE = PHASES = ("dispatch", "combine")

DISPATCH_BYTES = 1.0 + 4.0 / 128
"""Bytes of an element that is dispatched in fp8: one fp32 scale per 128 (DeepEP's README)."""

COMBINE_BYTES = 2.0
"""Bytes of an element that comes back, in bfloat16."""

_MODES = {kind: "deepep_ll" if kind == LOW_LATENCY else "deepep_ht" for kind in KINDS}
_KERNELS_ALONE = "sglang"
"""Backend whose rows hold the kernels alone."""

_SHAPE = ("hidden", "top_k", "experts")
_PLACE = ("phase", "mode", "gpus", "nodes")


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
        if curve.exchange.nodes > 1:
            return _more_nodes(curve, exchange, tokens * token_bytes, topology)
        return self._over_nodes(curve, exchange, tokens * token_bytes, gpu, topology)

    def _by_bytes(self, curve: Curve, leaving_bytes: float, gpu: Gpu) -> Timing:
        """Read a curve where so many bytes leave a GPU."""
        timing = curve.at(leaving_bytes / curve.leaving_bytes)
        if curve.exchange.nodes > 1:
            return timing  # not over NVLink for the most part
        return over_links(timing, curve.at(0.0), self._gpu, gpu)

    def _over_nodes(
        self, curve: Curve, exchange: Exchange, held_bytes: float, gpu: Gpu, topology: Topology
    ) -> Timing:
        """Return the time over nodes from a curve of one: within and across, side by side."""
        load = burden(topology, exchange)
        near_bandwidth, near_s = topology.bandwidth[0, 1], topology.latency_s[0, 1]
        within = self._by_bytes(curve, load.within * held_bytes * float(near_bandwidth), gpu)
        added_s = max(0.0, load.latency_s - float(near_s))
        across_s = curve.at(0.0).seconds + load.across * held_bytes
        return Timing(added_s + max(within.seconds, across_s), "assumed")

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


def _more_nodes(curve: Curve, exchange: Exchange, held_bytes: float, topology: Topology) -> Timing:
    """Return the time over more nodes, from a curve over some."""
    load, measured = burden(topology, exchange), burden(topology, curve.exchange)
    tokens = load.busy * held_bytes / (measured.busy * curve.token_bytes)
    added_s = max(0.0, load.latency_s - measured.latency_s)
    return Timing(curve.at(tokens).seconds + added_s, "assumed")


def _nearest(curves: Sequence[Curve], exchange: Exchange, hidden: int, token_bytes: float) -> Curve:
    """Return the curve of the model, else of that nearest in bytes that leave a GPU per token."""

    def distance(curve: Curve) -> tuple[bool, float, int]:
        same = curve.exchange == exchange and curve.hidden == hidden
        own = replace(exchange, gpus=curve.exchange.gpus, nodes=curve.exchange.nodes)
        apart = abs(log(own.copies * token_bytes / curve.leaving_bytes))
        return not same, apart, abs(curve.exchange.experts - exchange.experts)

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
        part = filtered(shape, shape["version"] == max(shape["version"].tolist()))
        fp8 = place.phase == DISPATCH and part["backend"][0] == _KERNELS_ALONE
        token_bytes = hidden * (DISPATCH_BYTES if fp8 else COMBINE_BYTES)
        tokens, seconds = (part[name].astype(float) for name in ("tokens", "seconds"))
        exchange = Exchange(*place[1:], top_k, experts)
        grid = LogGrid([tokens], seconds, (1.0,))
        found.append(Curve(exchange, hidden, token_bytes, tokens, seconds, grid))
    return found


def _distinct(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    columns = [rows[name].tolist() for name in names]
    return sorted(set(zip(*columns, strict=True)))


def _equal(rows: Rows, names: Sequence[str], values: Sequence[Any]) -> NDArray[np.bool_]:
    masks = [rows[name] == value for name, value in zip(names, values, strict=True)]
    return np.asarray(np.all(masks, axis=0))
