"""A request in flight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.serving.trajectories import Trajectory


class Request:
    """A request from arrival to its last token.

    Parameters
    ----------
    request_id, arrival_s, prompt_tokens, output_tokens
        As the workload says.
    runs
        Accepted-run lengths, one a round that it may need, or one an output token where they are
        told apart in token time: int64[output_tokens].
    trajectory
        Its decode at a fixed draft length; None where the draft length changes on the way.
    """

    __slots__ = (
        "accepted",
        "admitted_s",
        "arrival_s",
        "blocks",
        "cached_tokens",
        "first_token_s",
        "lost_tokens",
        "output_tokens",
        "preemptions",
        "prefill_tokens",
        "prefilled_tokens",
        "prompt_tokens",
        "request_id",
        "retries",
        "rounds",
        "runs",
        "tenant",
        "traffic_class",
        "trajectory",
    )

    def __init__(
        self,
        request_id: int,
        arrival_s: float,
        prompt_tokens: int,
        output_tokens: int,
        runs: NDArray[np.int64],
        trajectory: Trajectory | None,
    ) -> None:
        self.request_id = request_id
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.runs = runs
        self.trajectory = trajectory
        self.prefill_tokens = prompt_tokens
        """Tokens that its prefill covers: the prompt, and after a preemption its output so far."""
        self.prefilled_tokens = 0
        """Of these, tokens processed so far."""
        self.traffic_class = 0
        """Its traffic class, in the order of the configuration."""
        self.tenant = 0
        """Whom it belongs to."""
        self.retries = 0
        """How often it began anew because a replica was lost."""
        self.cached_tokens = 0
        """Prompt tokens found in the prefix cache when it first came in."""
        self.blocks = 0
        """KV blocks that it holds; while it decodes its stepper knows."""
        self.rounds = 0
        """Decode rounds behind it; its stepper counts those since it last entered decode."""
        self.accepted = 0
        """Drafted tokens accepted in these."""
        self.preemptions = 0
        """How often it lost its blocks."""
        self.lost_tokens = 0
        """Tokens prefilled before the last time it did."""
        self.admitted_s = 0.0
        """When its first prefill started."""
        self.first_token_s = 0.0
        """When that prefill ended."""

    @property
    def max_tokens(self) -> int:
        """Tokens whose keys and values it may have to hold: its last token's are never needed."""
        return self.prompt_tokens + self.output_tokens - 1

    @property
    def recomputed_tokens(self) -> int:
        """Tokens prefilled beyond the prompt because of preemptions, once its prefill is done."""
        return self.lost_tokens + self.prefill_tokens - self.prompt_tokens

    def runs_left(self, *, by_token: bool) -> NDArray[np.int64]:
        """Return its draws from the round on that follows its prefill; at least one.

        Parameters
        ----------
        by_token
            Whether draws are told apart in token time: the first is that of one token out.
        """
        behind = self.prefill_tokens - self.prompt_tokens if by_token else self.rounds
        return self.runs[behind:]

    def set_back(self) -> None:
        """Lose the blocks and what they held; the next prefill starts from nothing."""
        self.preemptions += 1
        self.lost_tokens += self.prefilled_tokens
        self.prefilled_tokens = 0
        self.blocks = 0
