"""Prefetchers: which experts to bring to the GPU before a layer runs.

A prefetcher sees the routing of the step before, and what a drafter saw of the tokens to come. It
ranks the experts of every layer; the store (`experts.offload`) brings the best that are missing, as
many as it has slots for. The registry is open to plug-ins through the entry-point group
``moesim.prefetcher``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.experts.config import LAST_TOKEN, LEARNED, OffloadConfig
from simulator.experts.loads import count_experts
from simulator.experts.predictor import load_predictor
from simulator.registry import Registry

Floats = NDArray[np.float64]


SWITCH_STEPS = 32
"""Steps over which a switch looks back (kind: assumed)."""


class Prefetcher(Protocol):
    """What the store asks before a step."""

    def scores(self, before: NDArray[np.integer], drafts: Floats) -> Floats:
        """Rank the experts of every layer.

        Parameters
        ----------
        before
            Experts that the step before chose, shape (layers, copies): K for each of its tokens,
            in their order. No copies before the first step.
        drafts
            What a drafter saw of the tokens to be verified, shape (tokens, d); no rows where there
            are none, no columns where routes bring nothing that a drafter saw.

        Returns
        -------
        ndarray of float, shape (layers, E)
            The highest are brought first; what is not above zero is not brought.
        """
        ...


PREFETCHERS: Registry[Callable[[int, OffloadConfig], Prefetcher]] = Registry("prefetcher")
"""Makers by kind; each takes the experts E of a layer, and the settings of the store."""


@PREFETCHERS.register(LAST_TOKEN)
class LastToken:
    """Brings what the tokens of the step before used, most used first.

    Parameters
    ----------
    experts
        Routed experts E of a layer.
    offload
        Has no part in it.

    Examples
    --------
    >>> LastToken(experts=4).scores(np.array([[0, 2, 2, 3]]), np.empty((0, 0))).tolist()
    [[1.0, 0.0, 2.0, 1.0]]
    """

    def __init__(self, experts: int, offload: OffloadConfig | None = None) -> None:
        del offload
        self._experts = experts

    def scores(self, before: NDArray[np.integer], drafts: Floats) -> Floats:
        """Return how many copies reached each expert (`Prefetcher.scores`)."""
        del drafts
        return count_experts(before, self._experts).astype(np.float64)


@PREFETCHERS.register(LEARNED)
class Learned:
    """Brings what a trained predictor says that the draft tokens need, the surest first.

    Where it expects steps to need so many distinct experts that prefetching does not pay
    (`ExpertPredictor.most_distinct`), it asks for none, and the store works on demand. It goes by
    a running mean over about `SWITCH_STEPS` steps: each change of mind costs what slots held.

    Parameters
    ----------
    experts
        Routed experts E of a layer.
    offload
        Names the file of the predictor.
    """

    def __init__(self, experts: int, offload: OffloadConfig) -> None:
        self._experts = experts
        self._predictor = load_predictor(str(offload.predictor))
        self._expected = 0.0
        self._asked = 0

    def scores(self, before: NDArray[np.integer], drafts: Floats) -> Floats:
        """Return the chance that the step needs each expert (`Prefetcher.scores`)."""
        if not len(drafts):
            return np.zeros((len(before), self._experts))
        needed = self._predictor.needed(drafts)
        self._asked = min(self._asked + 1, SWITCH_STEPS)
        self._expected += (float(needed.sum(axis=1).mean()) - self._expected) / self._asked
        return np.zeros_like(needed) if self._off else needed

    @property
    def _off(self) -> bool:
        return self._expected >= self._predictor.most_distinct
