"""Prefetchers: which experts to bring to the GPU before a layer runs.

A prefetcher sees the routing of the step before and ranks the experts of every layer; the store
(`experts.offload`) brings the best that are missing, as many as it has slots for. The registry is
open to plug-ins through the entry-point group ``moesim.prefetcher``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.experts.config import LAST_TOKEN
from simulator.experts.loads import count_experts
from simulator.registry import Registry


class Prefetcher(Protocol):
    """What the store asks before a step."""

    def scores(self, before: NDArray[np.integer]) -> NDArray[np.float64]:
        """Rank the experts of every layer.

        Parameters
        ----------
        before
            Experts that the step before chose, shape (layers, copies): K for each of its tokens,
            in their order.

        Returns
        -------
        ndarray of float, shape (layers, E)
            The highest are brought first; what is not above zero is not brought.
        """
        ...


PREFETCHERS: Registry[Callable[[int], Prefetcher]] = Registry("prefetcher")
"""Makers by kind; each takes the experts E of a layer."""


@PREFETCHERS.register(LAST_TOKEN)
class LastToken:
    """Brings what the tokens of the step before used, most used first.

    Parameters
    ----------
    experts
        Routed experts E of a layer.

    Examples
    --------
    >>> LastToken(experts=4).scores(np.array([[0, 2, 2, 3]])).tolist()
    [[1.0, 0.0, 2.0, 1.0]]
    """

    def __init__(self, experts: int) -> None:
        self._experts = experts

    def scores(self, before: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return how many copies reached each expert (`Prefetcher.scores`)."""
        return count_experts(before, self._experts).astype(np.float64)
