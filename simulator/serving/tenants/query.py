"""A query to the classifier endpoint: a request that carries a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.serving.request import Request, Traits

Floats = NDArray[np.float64]

BENIGN, ATTACK = 0, 1
"""Traffic classes of the endpoint."""

_NO_RUNS = np.zeros(0, dtype=np.int64)


class Asker(Protocol):
    """Who waits for a reply."""

    def take(self, query: Query, scores: Sequence[float], now_s: float) -> None:
        """Take the scores of a query, one a class."""
        ...


class Query(Request):
    """A request of one token in and one out, which is what routers see of it.

    Parameters
    ----------
    number
        Of all queries of the run.
    traits
        Its tenant, and `BENIGN` or `ATTACK`.
    point
        What is to be classified, shape (d,).
    asker, place
        Who takes the reply, and which of its queries this is.
    """

    __slots__ = ("asker", "gpu_s", "place", "point")

    def __init__(
        self, number: int, traits: Traits, point: Floats, asker: Asker, place: int
    ) -> None:
        super().__init__(number, 0.0, 1, 1, _NO_RUNS, None, traits)
        self.point = point
        self.asker = asker
        self.place = place
        self.gpu_s = 0.0
        """Its part of the time that its batch takes alone; 0 before that has begun."""
