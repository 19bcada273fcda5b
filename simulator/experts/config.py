"""Settings of routing, and of where experts lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.errors import ConfigError, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """The config group ``routing``.

    Parameters
    ----------
    law
        Kind of the law: ``overlap`` or ``uniform``.
    within_request
        Exponent g of ``overlap`` for tokens of one request, in (0, 1]; 1 is independent. Null takes
        the one measured for the model, and 1 where none was.
    across_requests
        Exponent h of ``overlap`` over requests, in (0, 1]; null is 1, independent.
    prompt
        Exponent of ``overlap`` for prompt tokens, in (0, 1]; null is that within a request.
    """

    law: str = "overlap"
    within_request: float | None = None
    across_requests: float | None = None
    prompt: float | None = None

    def __post_init__(self) -> None:
        for key in ("within_request", "across_requests", "prompt"):
            value = getattr(self, key)
            if value is None:
                continue
            if not 0.0 < value <= 1.0:
                raise ConfigError(
                    f"routing.{key}={value!r} must lie in (0, 1]; 1 means independent routing."
                )
            if self.law == "uniform":
                raise ConfigError(
                    f"routing.{key}={value!r} has no effect with routing.law=uniform; "
                    f"choose routing.law=overlap."
                )


FIDELITIES = ("expected", "sampled", "event")
"""How closely expert dispatch is followed: closed forms, loads drawn per layer, or every event."""


LRU, PINNED = OFFLOAD_POLICIES = ("lru", "pinned")
"""Which experts of a layer stay on the GPU: the last used, or the most popular for good."""

NO_PREFETCH = "none"
"""The ``prefetch`` that brings nothing beforehand."""

LAST_TOKEN = "last_token"
"""The ``prefetch`` that brings what the step before used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffloadConfig:
    """The setting ``experts.offload``: experts that do not fit live in host memory.

    Parameters
    ----------
    resident_experts
        Experts of a layer that a GPU holds at a time; split experts count as one.
    policy
        Which ones, one of `OFFLOAD_POLICIES`.
    prefetch
        Kind of the prefetcher (`experts.prefetch`), or `NO_PREFETCH`.
    prefetch_experts
        Slots of a layer for experts that are brought before it runs, beside the resident ones.
    host_bandwidth
        Bandwidth from host memory to a GPU, bytes/s; null: the peak of the GPU's host link.
    """

    resident_experts: int
    policy: str = LRU
    prefetch: str = NO_PREFETCH
    prefetch_experts: int = 0
    host_bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.policy not in OFFLOAD_POLICIES:
            where = "experts.offload.policy"
            raise ConfigError(unknown("offload policy", self.policy, OFFLOAD_POLICIES, where))
        if self.resident_experts < 1:
            raise ConfigError(
                f"experts.offload.resident_experts={self.resident_experts!r} must be at least 1."
            )
        if self.host_bandwidth is not None and not 0.0 < self.host_bandwidth < math.inf:
            raise ConfigError(
                f"experts.offload.host_bandwidth={self.host_bandwidth!r} must be above 0, in "
                f"bytes/s (PCIe 4.0 x16: 3.15e10), or null."
            )
        self._check_prefetch()

    def _check_prefetch(self) -> None:
        """Refuse a prefetcher without slots, slots without one, and what brings nothing."""
        none, slots = self.prefetch == NO_PREFETCH, self.prefetch_experts
        if slots < 0 or (slots == 0) != none:
            raise ConfigError(
                f"experts.offload.prefetch_experts={slots!r} does not go with "
                f"experts.offload.prefetch={self.prefetch}: a prefetcher needs a slot at least, "
                f"and slots need a prefetcher."
            )
        if self.prefetch == LAST_TOKEN and self.policy == LRU:
            raise ConfigError(
                f"experts.offload.prefetch={LAST_TOKEN} brings what the step before used, which "
                f"experts.offload.policy={LRU} keeps anyway; take policy={PINNED}, or another "
                f"prefetcher."
            )

    @property
    def slots(self) -> int:
        """Experts of a layer that a GPU has room for."""
        return self.resident_experts + self.prefetch_experts


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertsConfig:
    """The config group ``experts``: where experts lie, and how closely dispatch is followed.

    Parameters
    ----------
    fidelity
        One of `FIDELITIES`.
    placement
        ``contiguous``, ``round_robin``, ``load_aware``, or path of a placement file.
    redundant
        Replicas of hot experts beside the experts of a layer (vLLM's ``num_redundant_experts``).
    rebalance_period_s
        Time after which replicas are placed anew, s; null: never.
    two_batch_overlap
        Whether each half of a batch computes while the other communicates.
    offload
        Experts in host memory; null: all are on the GPUs.
    loads_every
        Iterations from one whose loads are written to the next, where loads are drawn.
    links_interval_s
        Length of the intervals in which bytes are counted by link, where transfers are events, s.
    """

    fidelity: str = "expected"
    placement: str = "contiguous"
    redundant: int = 0
    rebalance_period_s: float | None = None
    two_batch_overlap: bool = False
    offload: OffloadConfig | None = None
    loads_every: int = 100
    links_interval_s: float = 1.0

    def __post_init__(self) -> None:
        if self.fidelity not in FIDELITIES:
            raise ConfigError(unknown("fidelity", self.fidelity, FIDELITIES, "experts.fidelity"))
        if self.two_batch_overlap and not self.events:
            raise ConfigError(
                f"experts.two_batch_overlap=true has no effect with experts.fidelity="
                f"{self.fidelity}, which adds up the layers; set experts.fidelity=event."
            )
        _check_beyond("loads_every", self.loads_every, 100, self.drawn, "sampled or event")
        _check_beyond("links_interval_s", self.links_interval_s, 1.0, self.events, "event")

    @property
    def drawn(self) -> bool:
        """Whether loads are drawn layer by layer."""
        return self.fidelity != "expected"

    @property
    def events(self) -> bool:
        """Whether dispatch, experts and combine are events."""
        return self.fidelity == "event"


def _check_beyond(key: str, value: float, default: float, used: bool, fidelity: str) -> None:
    """Refuse a setting of the trace that is out of range, or has no effect."""
    if not 0 < value < float("inf"):
        raise ConfigError(f"experts.{key}={value!r} must be positive and finite.")
    if value != default and not used:
        raise ConfigError(
            f"experts.{key}={value!r} has no effect here; set experts.fidelity={fidelity}, or "
            f"leave it at {default:g}."
        )
