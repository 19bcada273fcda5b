"""What a draft-length policy sees: what a server would."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Telemetry(NamedTuple):
    """What a policy sees before a step.

    Parameters
    ----------
    requests, context_tokens
        Requests that will decode, and their tokens summed.
    gamma
        Draft length of the last step that decoded.
    accepted
        Drafted tokens accepted in it by request; empty before the first.
    waiting
        Requests that are there and do not decode: they wait, or their prompts are computed.
    now_s
        Time, s.
    """

    requests: int
    context_tokens: int
    gamma: int
    accepted: NDArray[np.int64]
    waiting: int = 0
    now_s: float = 0.0
