"""Settings of the scheduler and the router."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """The config group ``scheduler``.

    Parameters
    ----------
    router
        Kind of the router in front of the replicas.
    queue
        Who comes in next: ``fcfs``, ``priority`` or ``fair`` (`queues`; vLLM's
        ``--scheduling-policy`` knows the first two).
    max_queue
        Requests that may wait at a replica; whoever comes then is refused. Null: no limit.
    queue_timeout_s
        How long a request may wait for its prefill to start, s. Null: for ever.
    prefix_cache
        Whether KV blocks are kept for requests that begin alike (vLLM's
        ``--enable-prefix-caching``); costs nothing where the workload says of none that they do.
    max_num_seqs
        Most requests that an attention group of a replica runs at once (vLLM's
        ``--max-num-seqs``).
    max_batched_tokens
        Tokens that one step of an attention group may process, decode tokens first (vLLM's
        ``--max-num-batched-tokens``).
    recv_interval
        Steps between two looks at the arrivals while anything runs (SGLang's
        ``--scheduler-recv-interval``).
    block_tokens
        Tokens of a block of the KV cache (vLLM's ``--block-size``).
    """

    router: str = "least_outstanding"
    queue: str = "fcfs"
    max_queue: int | None = None
    queue_timeout_s: float | None = None
    prefix_cache: bool = True
    max_num_seqs: int = 256
    max_batched_tokens: int = 8192
    recv_interval: int = 1
    block_tokens: int = 16

    def __post_init__(self) -> None:
        for key in ("max_num_seqs", "max_batched_tokens", "recv_interval", "block_tokens"):
            value = getattr(self, key)
            if value < 1:
                raise ConfigError(f"scheduler.{key}={value!r} must be at least 1.")
        if self.max_queue is not None and self.max_queue < 1:
            raise ConfigError(
                f"scheduler.max_queue={self.max_queue!r} would refuse every request; set it to at "
                "least 1, or to null for no limit."
            )
        if self.queue_timeout_s is not None and not 0.0 < self.queue_timeout_s < math.inf:
            raise ConfigError(
                f"scheduler.queue_timeout_s={self.queue_timeout_s!r} must be above 0 s, or null "
                "for no time-out."
            )
        if self.max_num_seqs > 65_536:
            raise ConfigError(
                f"scheduler.max_num_seqs={self.max_num_seqs!r} exceeds 65536; engines use 16-1024."
            )
