"""What a replica asks of the part that follows its decoding requests through their rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.serving.request import Request


class Stepper(Protocol):
    """The decoding requests of a replica, in the order in which they came to decode.

    There are two: `ring.EmissionRing`, whose steps take the same time whatever the batch, and
    `slots.SlotArray`, whose draft length may change from step to step. Where both apply they say
    the same.
    """

    requests: int
    """How many decode."""
    context_tokens: int
    """Their tokens, summed: cached ones, and one each that the next step is fed."""
    accepted: NDArray[np.int64]
    """Drafted tokens accepted by request in the last step; empty where nobody asks."""

    def enter(self, request: Request) -> None:
        """Let a request decode whose prefill is complete and that has tokens to emit."""
        ...

    def blocks_needed(self, gamma: int) -> int:
        """Return the KV blocks that a step with this draft length takes beyond those held."""
        ...

    def advance(self, gamma: int) -> tuple[int, Sequence[Request]]:
        """Commit a step, after `blocks_needed`; return its tokens and who is finished.

        Finished requests know the blocks they hold, their rounds and their accepted tokens.
        """
        ...

    def residents(self) -> Sequence[Request]:
        """Return the decoding requests in the order in which they came to decode."""
        ...

    def evict(self, request: Request) -> None:
        """Take out any request that decodes.

        It then knows the blocks it holds, and that its next prefill covers its tokens so far.
        """
        ...
