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

from collections.abc import Sequence
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
_SPREAD = ("gpus", "nodes")
_NOTHING: Rows = {name: np.empty(0) for name in ("mode", "phase", *_SPREAD)}


class Curve(NamedTuple):
    """Times of one exchange, of one model's tokens, over tokens per GPU.

    Parameters
    ----------
    exchange, hidden
        Who exchanges, and how wide tokens are.
    token_bytes
        Of one copy of a token.
    grid
        The measured times.
    """

    exchange: Exchange
    hidden: int
    token_bytes: float
    grid: LogGrid

    @property
    def leaving_bytes(self) -> float:
        """What a GPU sends over the narrowest links for each of its tokens, bytes."""
        return self.exchange.copies * self.token_bytes

    def at(self, tokens: float) -> Timing:
        """Return the time of so many tokens per GPU."""
        return self.grid.at(tokens)


class ExchangeTable:
    """Times of dispatch and combine on one measured GPU.

    Parameters
    ----------
    gpu
        The measured GPU.
    rows
        Those of ``all_to_all``; None where it was not measured.
    """

    def __init__(self, gpu: Gpu, rows: Rows | None) -> None:
        self._gpu = gpu
        rows = _NOTHING if rows is None else rows
        self._curves: dict[tuple[str, str, int, int], list[Curve]] = {}
        for key in (key for kind in KINDS for key in _places(rows, kind)):
            self._curves[key] = _curves(_kernels_alone(rows, key), key)

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
        held = self._curves.get((phase, exchange.kind, exchange.gpus, exchange.nodes))
        if held:
            curve = _nearest(held, exchange, hidden, token_bytes)
            timing = self._by_bytes(curve, tokens * exchange.copies * token_bytes, gpu)
            exact = (curve.exchange, curve.hidden) == (exchange, hidden)
            exact = exact and isclose(curve.token_bytes, token_bytes)
            return timing if exact else _no_better(timing, "fitted")
        near = self._reference(phase, exchange)
        curve = _nearest(near, exchange, hidden, token_bytes)
        if exchange.nodes == 1:
            timing = self._by_bytes(curve, tokens * exchange.copies * token_bytes, gpu)
            return _no_better(timing, "assumed")
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

    def _reference(self, phase: str, exchange: Exchange) -> list[Curve]:
        """Return the curves to scale from: of equal nodes, as many as possible, else of one."""
        places = [(g, n) for p, k, g, n in self._curves if (p, k) == (phase, exchange.kind)]
        if not places:
            raise TableError(
                f"{exchange.kind} was not measured on {self._gpu.title}; use "
                "hardware.all2all_backend=allgather_reducescatter there."
            )
        size = exchange.gpus // exchange.nodes
        alike = [(g, n) for g, n in places if n > 1 and g // n == size and g < exchange.gpus]
        if exchange.nodes > 1 and alike:
            gpus, nodes = max(alike)
        else:
            gpus, nodes = min((p for p in places if p[1] == 1), default=min(places))
        return self._curves[phase, exchange.kind, gpus, nodes]

    def _unmeasured(self, phase: str, exchange: Exchange) -> str:
        keys = (key for key in self._curves if key[:2] == (phase, exchange.kind))
        known = ", ".join(f"{gpus} in {nodes}" for *_, gpus, nodes in sorted(keys))
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


def _no_better(timing: Timing, kind: str) -> Timing:
    return Timing(timing.seconds, weaker(timing.kind, kind))


def _nearest(curves: list[Curve], exchange: Exchange, hidden: int, token_bytes: float) -> Curve:
    """Return the curve of the model, else of that nearest in bytes that leave a GPU per token."""

    def distance(curve: Curve) -> tuple[bool, float, int]:
        same = curve.exchange == exchange and curve.hidden == hidden
        own = Exchange(
            exchange.kind,
            curve.exchange.gpus,
            curve.exchange.nodes,
            exchange.top_k,
            exchange.experts,
        )
        apart = abs(log(own.copies * token_bytes / curve.leaving_bytes))
        return not same, apart, abs(curve.exchange.experts - exchange.experts)

    return min(curves, key=distance)


def _places(rows: Rows, kind: str) -> list[tuple[str, str, int, int]]:
    """Return phase, kind, GPUs and nodes of all that was measured of a kind."""
    mine = filtered(rows, rows["mode"] == _MODES[kind])
    return [(phase, kind, gpus, nodes) for phase, gpus, nodes in _distinct(mine, "phase", *_SPREAD)]


def _kernels_alone(rows: Rows, key: tuple[str, str, int, int]) -> Rows:
    """Return the rows of a place; those of the kernels alone where there are any."""
    phase, kind, *spread = key
    mine = _equal(rows, ("phase", "mode", *_SPREAD), (phase, _MODES[kind], *spread))
    alone = mine & (rows["backend"] == _KERNELS_ALONE)
    return filtered(rows, alone if alone.any() else mine)


def _curves(rows: Rows, key: tuple[str, str, int, int]) -> list[Curve]:
    """Return one curve per shape, of its newest rows."""
    phase, kind, gpus, nodes = key
    found = []
    for hidden, top_k, experts in _distinct(rows, *_SHAPE):
        shape = filtered(rows, _equal(rows, _SHAPE, (hidden, top_k, experts)))
        part = filtered(shape, shape["version"] == max(shape["version"].tolist()))
        fp8 = phase == DISPATCH and part["backend"][0] == _KERNELS_ALONE
        token_bytes = hidden * (DISPATCH_BYTES if fp8 else COMBINE_BYTES)
        grid = LogGrid([part["tokens"].astype(float)], part["seconds"].astype(float), (1.0,))
        exchange = Exchange(kind, gpus, nodes, top_k, experts)
        found.append(Curve(exchange, hidden, token_bytes, grid))
    return found


def _distinct(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    columns = [rows[name].tolist() for name in names]
    return sorted(set(zip(*columns, strict=True)))


def _equal(rows: Rows, names: Sequence[str], values: Sequence[Any]) -> NDArray[np.bool_]:
    masks = [rows[name] == value for name, value in zip(names, values, strict=True)]
    return np.asarray(np.all(masks, axis=0))
