"""A request in flight."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.serving.trajectories import Trajectory


class Traits(NamedTuple):
    """What tells a request apart beside its arrival and lengths."""

    traffic_class: int = 0
    """Its traffic class, in the order of the configuration."""
    tenant: int = 0
    """Whom it belongs to."""
    priority: int = 0
    """Lower comes first, where the queue looks at it."""
    session: int = -1
    """Conversation that it is part of; -1 for none."""
    cancel_after_s: float = math.inf
    """Time after its arrival at which its client gives up."""
    prefix: tuple[int, ...] = ()
    """Keys of the KV blocks that others may share with it (`prefix_cache.block_keys`)."""
    follows: int | None = None
    """Request that must have left before it arrives, -1 for none; None where none follows any."""
    think_s: float = 0.0
    """Time from then to its arrival; in a closed loop, from when its user is free."""


PLAIN = Traits()
"""Of a request that nothing tells apart."""


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
        Its decode at a fixed draft length, from after its next prefill; None where the draft length
        changes on the way, or where it is yet to be laid.
    traits
        What else tells it apart.
    """

    __slots__ = (
        "accepted",
        "admitted",
        "admitted_s",
        "arrival_s",
        "blocks",
        "cached_tokens",
        "first_token_s",
        "found_tokens",
        "left",
        "lost_tokens",
        "output_tokens",
        "preemptions",
        "prefill_replica",
        "prefill_tokens",
        "prefilled_tokens",
        "prompt_tokens",
        "request_id",
        "retries",
        "rounds",
        "runs",
        "traits",
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
        traits: Traits = PLAIN,
    ) -> None:
        self.request_id = request_id
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.runs = runs
        self.trajectory = trajectory
        self.traits = traits
        self.prefill_tokens = prompt_tokens
        """Tokens that its prefill covers: the prompt, and after a preemption its output so far."""
        self.prefilled_tokens = 0
        """Of these, tokens whose keys and values it has so far."""
        self.retries = 0
        """How often it began anew because a replica was lost."""
        self.cached_tokens = 0
        """Prompt tokens found in the prefix cache when it first came in."""
        self.found_tokens = 0
        """Tokens found there when it last came in."""
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
        self.prefill_replica = -1
        """Replica that prefilled its prompt; -1 before."""
        self.admitted = False
        """Whether its first prefill has started."""
        self.admitted_s = math.nan
        """When it did; NaN before."""
        self.first_token_s = math.nan
        """When its first prefill ended; NaN before."""
        self.left = False
        """Whether its row is written."""

    @property
    def max_tokens(self) -> int:
        """Tokens whose keys and values it may have to hold: its last token's are never needed."""
        return self.prompt_tokens + self.output_tokens - 1

    @property
    def emitted_tokens(self) -> int:
        """Output tokens so far, while it does not decode."""
        return self.prefill_tokens - self.prompt_tokens

    @property
    def computed_tokens(self) -> int:
        """Tokens prefilled for it so far, each as often as it was."""
        return self.lost_tokens + self.prefilled_tokens - self.found_tokens

    @property
    def recomputed_tokens(self) -> int:
        """Tokens prefilled beyond what its prompt takes, because it lost its blocks."""
        if not self.lost_tokens:
            return 0
        return max(0, self.computed_tokens - (self.prompt_tokens - self.cached_tokens))

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
        """Lose the blocks and what they held; the next prefill starts anew."""
        self.lost_tokens = self.computed_tokens
        self.prefilled_tokens = self.found_tokens = 0
        self.blocks = 0

    def begin_anew(self) -> None:
        """Forget all that was done for it, after `set_back`, because a replica was lost."""
        self.retries += 1
        self.prefill_tokens = self.prompt_tokens
        self.trajectory = None
        self.rounds = self.accepted = self.cached_tokens = 0
        self.prefill_replica = -1
        self.admitted = False
        self.admitted_s = self.first_token_s = math.nan

    def keep_first_token(self) -> None:
        """Let the next prefill cover the token that the last one emitted, too."""
        self.prefill_tokens += 1
        self.trajectory = None


def request_row(
    request: Request, outcome: int, replica: int, emitted: int, finish_s: float, left_s: float
) -> tuple[float, ...]:
    """Return the row of a request that leaves (`trace.schema.REQUESTS`)."""
    traits = request.traits
    return (
        request.request_id,
        traits.traffic_class,
        traits.tenant,
        outcome,
        replica,
        request.prefill_replica,
        request.arrival_s,
        request.admitted_s,
        request.first_token_s,
        finish_s,
        left_s,
        request.prompt_tokens,
        request.cached_tokens,
        request.output_tokens,
        emitted,
        request.rounds,
        request.accepted,
        request.preemptions,
        request.recomputed_tokens,
        request.retries,
    )
