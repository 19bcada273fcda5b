"""How many bytes the exchange around routed experts takes from GPU to GPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.loads import RankLoads
from simulator.hardware.bundles import everyone
from simulator.hardware.collectives import COLLECTIVES, Sent, fastest
from simulator.hardware.exchange import HIGH_THROUGHPUT, Exchange, dispatch_steps
from simulator.hardware.topology import ROUTED_BYTES, Topology
from simulator.models.operators import AllGather, Combine, Dispatch, Operator, ReduceScatter

Floats = NDArray[np.float64]

ALL_GATHER = "all_gather"
"""Key of the collective before the experts."""


class Exchanged(NamedTuple):
    """Bytes by pair of GPUs; one row if all layers agree.

    Parameters
    ----------
    dispatch, combine
        Before the experts, in the order of `ExchangedBytes.pairs`, and after them, every pair
        turned round; shape (layers or 1, pairs).
    """

    dispatch: Floats
    combine: Floats


class ExchangedBytes:
    """What the GPUs of a replica send each other around the experts of a layer.

    An all-gather brings each GPU what it lacks, over nodes in the way that is fastest for
    `topology.ROUTED_BYTES`, and the sum of results goes back the same way, whatever experts are
    chosen. DeepEP brings copies to the experts that tokens chose, as
    `hardware.exchange` says of even routing, in proportion to what the receiving GPU computes, or
    its node where a token goes there once. GPUs have equal shares of the tokens.

    Parameters
    ----------
    operators
        Of one pass of the target.
    ranks
        Ranks of the experts; each is as many GPUs in a row.
    topology
        Where the replica lies, on the first GPUs; None for one node.

    Examples
    --------
    >>> from simulator.experts.loads import rank_loads
    >>> from simulator.experts.placement import contiguous
    >>> found = ExchangedBytes([AllGather(4.0, 2, 1)], ranks=2)
    >>> loads = rank_loads(np.zeros((1, 10), dtype=int), contiguous(2, 2))
    >>> found.pairs, found.of(10.0, loads).dispatch.tolist()
    ([(0, 1), (1, 0)], [[20.0, 20.0]])
    """

    def __init__(
        self, operators: Sequence[Operator], ranks: int, topology: Topology | None = None
    ) -> None:
        there = [op for op in operators if isinstance(op, AllGather | Dispatch)]
        back = [op for op in operators if isinstance(op, ReduceScatter | Combine)]
        self.gpus = there[0].gpus if there else 1
        self._there_bytes = sum(op.bytes_per_token for op in there) / self.gpus
        self._back_bytes = sum(op.bytes_per_token for op in back) / self.gpus
        self._island = self.gpus
        self._routed = self._by_node = False
        part = None if topology is None else topology.first(self.gpus)
        if there and isinstance(there[0], Dispatch):
            sent = self._dispatched(there[0], part)
        else:
            sent = self._gathered(part)
        self.pairs = [(one, other) for one, other, _ in sent]
        """Sending and receiving GPU of each transfer of the dispatch, from 0 on."""
        self._shares = np.array([share for *_, share in sent])
        self._senders = np.array([one for one, _ in self.pairs], dtype=np.int64)
        self._receivers = np.array([other for _, other in self.pairs], dtype=np.int64)
        each = max(self.gpus // ranks, 1)
        rank = np.arange(ranks)
        leaves, reaches = self._senders // each, self._receivers // each
        self._reaches = ((reaches[:, None] == rank) & (leaves != reaches)[:, None]).astype(float)

    def _gathered(self, part: Topology | None) -> list[Sent]:
        """Return the transfers of an all-gather, for every byte of a GPU's share."""
        if part is None or part.islands == 1:
            return [Sent(one, other, 1.0) for one, other in everyone(range(self.gpus))]
        way = COLLECTIVES[ALL_GATHER][fastest(part, ALL_GATHER, ROUTED_BYTES).algorithm]
        sizes: dict[tuple[int, int], float] = defaultdict(float)
        for times, sent in way(part, float(self.gpus)):
            for one, other, size_bytes in sent:
                sizes[one, other] += times * size_bytes
        return [Sent(*pair, size_bytes) for pair, size_bytes in sizes.items()]

    def _dispatched(self, op: Dispatch, part: Topology | None) -> list[Sent]:
        """Return the transfers of a dispatch, for every byte of tokens that a GPU holds."""
        nodes = 1 if part is None else part.islands
        exchange = Exchange(op.backend, self.gpus, nodes, op.top_k, op.experts)
        self._routed = True
        if part is None or nodes == 1:
            pairs = everyone(range(self.gpus))
            return [Sent(one, other, exchange.copies_to_gpu) for one, other in pairs]
        self._island, self._by_node = part.island_gpus, op.backend == HIGH_THROUGHPUT
        return [one for _, sent in dispatch_steps(part, exchange, 1.0) for one in sent]

    def of(self, tokens: float, loads: RankLoads) -> Exchanged:
        """Return what is sent from GPU to GPU in a layer.

        Parameters
        ----------
        tokens
            Tokens that meet in the experts.
        loads
            Where they go.
        """
        shares = self._shares[None]
        if self._routed:
            shares = shares * self._popularity(loads)
        return Exchanged(tokens * self._there_bytes * shares, tokens * self._back_bytes * shares)

    def _popularity(self, loads: RankLoads) -> Floats:
        """Return what the receivers get over the mean of all, shape (layers, pairs)."""
        mean = np.maximum(loads.tokens.mean(axis=1, keepdims=True), np.finfo(float).tiny)
        by_gpu = loads.tokens / mean  # whole experts lie on each GPU
        found = by_gpu[:, self._receivers]
        if self._by_node:
            by_node = by_gpu.reshape(len(by_gpu), -1, self._island).mean(axis=2)
            across = self._senders // self._island != self._receivers // self._island
            found[:, across] = by_node[:, self._receivers[across] // self._island]
        return np.asarray(found)

    def by_rank(self, exchanged: Exchanged) -> tuple[Floats, Floats]:
        """Return what reaches ranks before the experts and leaves them after, shape (.., ranks)."""
        return exchanged.dispatch @ self._reaches, exchanged.combine @ self._reaches
