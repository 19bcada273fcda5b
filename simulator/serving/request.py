"""A request in flight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Request:
    """A request from arrival to its last token.

    Parameters
    ----------
    request_id, arrival_s, prompt_tokens, output_tokens
        As the workload says.
    emitted
        Tokens it emits by decode round: int64[rounds].
    accepted
        Drafted tokens accepted over all rounds.
    """

    __slots__ = (
        "accepted",
        "admitted_s",
        "arrival_s",
        "emitted",
        "first_token_s",
        "kv_tokens",
        "output_tokens",
        "prefilled_tokens",
        "prompt_tokens",
        "request_id",
    )

    def __init__(
        self,
        request_id: int,
        arrival_s: float,
        prompt_tokens: int,
        output_tokens: int,
        emitted: NDArray[np.int64],
        accepted: int,
    ) -> None:
        self.request_id = request_id
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.emitted = emitted
        self.accepted = accepted
        self.kv_tokens = prompt_tokens + output_tokens
        """Cache entries it holds at its end; reserved when it is admitted."""
        self.prefilled_tokens = 0
        """Prompt tokens processed so far."""
        self.admitted_s = 0.0
        """When the scheduler let it in."""
        self.first_token_s = 0.0
        """When its prefill ended."""
