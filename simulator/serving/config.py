"""Settings of the scheduler and the router."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """The config group ``scheduler``.

    Parameters
    ----------
    router
        Kind of the router in front of the replicas.
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
    max_num_seqs: int = 256
    max_batched_tokens: int = 8192
    recv_interval: int = 1
    block_tokens: int = 16

    def __post_init__(self) -> None:
        for key in ("max_num_seqs", "max_batched_tokens", "recv_interval", "block_tokens"):
            value = getattr(self, key)
            if value < 1:
                raise ConfigError(f"scheduler.{key}={value!r} must be at least 1.")
        if self.max_num_seqs > 65_536:
            raise ConfigError(
                f"scheduler.max_num_seqs={self.max_num_seqs!r} exceeds 65536; engines use 16-1024."
            )
