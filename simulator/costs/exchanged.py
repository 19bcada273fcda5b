"""How many bytes the exchange around routed experts takes from GPU to GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.loads import RankLoads
from simulator.hardware.bundles import everyone
from simulator.models.operators import AllGather, Combine, Dispatch, Operator, ReduceScatter

Floats = NDArray[np.float64]


class Exchanged(NamedTuple):
    """Bytes by pair of GPUs, in the order of `ExchangedBytes.pairs`; one row if all layers agree.

    Parameters
    ----------
    dispatch, combine
        Before the experts, and after them; shape (layers or 1, pairs).
    """

    dispatch: Floats
    combine: Floats


class ExchangedBytes:
    """What the GPUs of a replica send each other around the experts of a layer.

    An all-gather brings each GPU what it lacks, and the sum of results goes back the same way,
    whatever experts are chosen. DeepEP's exchange brings a copy to each expert that a token chose,
    and a result back from each. GPUs have equal shares of the tokens.

    Parameters
    ----------
    operators
        Of one pass of the target.
    ranks
        Ranks of the experts; each is as many GPUs in a row.

    Examples
    --------
    >>> from simulator.experts.loads import rank_loads
    >>> from simulator.experts.placement import contiguous
    >>> from simulator.models.operators import AllGather
    >>> found = ExchangedBytes([AllGather(4.0, 2, 1)], ranks=2)
    >>> loads = rank_loads(np.zeros((1, 10), dtype=int), contiguous(2, 2))
    >>> found.pairs, found.of(10.0, loads).dispatch.tolist()
    ([(0, 1), (1, 0)], [[20.0, 20.0]])
    """

    def __init__(self, operators: Sequence[Operator], ranks: int) -> None:
        gathers = [op for op in operators if isinstance(op, AllGather)]
        scatters = [op for op in operators if isinstance(op, ReduceScatter)]
        routed = [op for op in operators if isinstance(op, Dispatch | Combine)]
        self._dispatched = sum(op.bytes_per_token for op in routed if isinstance(op, Dispatch))
        self._combined = sum(op.bytes_per_token for op in routed if isinstance(op, Combine))
        self.gpus = max((op.gpus for op in (*gathers, *routed)), default=1)
        self.pairs = everyone(range(self.gpus))
        self._gathered = sum(op.bytes_per_token for op in gathers) / self.gpus
        self._scattered = sum(op.bytes_per_token for op in scatters) / self.gpus
        self._senders = [sender for sender, _ in self.pairs]
        self._receivers = [receiver for _, receiver in self.pairs]
        each = max(self.gpus // ranks, 1)
        self._reaches = np.zeros((len(self.pairs), ranks))
        self._leaves = np.zeros((len(self.pairs), ranks))
        for row, (sender, receiver) in enumerate(self.pairs):
            if sender // each != receiver // each:
                self._leaves[row, sender // each] = self._reaches[row, receiver // each] = 1.0

    def of(self, tokens: float, loads: RankLoads) -> Exchanged:
        """Return what is sent from GPU to GPU in a layer.

        Parameters
        ----------
        tokens
            Tokens that meet in the experts.
        loads
            Where they go.
        """
        if self._dispatched:  # whole experts lie on each GPU
            copies = loads.tokens / self.gpus
            return Exchanged(
                self._dispatched * copies[:, self._receivers],
                self._combined * copies[:, self._senders],
            )
        row = np.ones((1, len(self.pairs)))
        return Exchanged(row * (tokens * self._gathered), row * (tokens * self._scattered))

    def by_rank(self, exchanged: Exchanged) -> tuple[Floats, Floats]:
        """Return what reaches ranks before the experts and leaves them after, shape (.., ranks)."""
        return exchanged.dispatch @ self._reaches, exchanged.combine @ self._leaves
