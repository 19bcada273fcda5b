"""Settings of routing, and of where experts lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simulator.errors import ConfigError, unknown
from simulator.quantities import names_a_file

EXPONENTS = ("within_request", "across_requests", "prompt")
ARCHETYPE = (
    *("archetype", "overlap", "layer_sd"),
    *("popularity_sd", "request_sd", "token_sd", "persistence"),
)

_SETTINGS = {"uniform": (), "overlap": EXPONENTS, "sampled": ARCHETYPE, "recorded": ("path",)}
"""What each shipped law reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """The config group ``routing``.

    Parameters
    ----------
    law
        Kind of the law: ``overlap``, ``uniform``, ``sampled`` or ``recorded``.
    within_request
        Exponent g of ``overlap`` for tokens of one request, in (0, 1]; 1 is independent. Null takes
        the one measured for the model, and 1 where none was.
    across_requests
        Exponent h of ``overlap`` over requests, in (0, 1]; null is 1, independent.
    prompt
        Exponent of ``overlap`` for prompt tokens, in (0, 1]; null is that within a request.
    archetype
        Model in ``workloads/routing/archetypes.yaml`` whose tokens ``sampled`` routes like; null
        is the model itself.
    overlap
        Share of its experts that a token of ``sampled`` shares with the one before it, mean over
        layers; null is the one measured. Request and token deviations are scaled to meet it.
    layer_sd
        Standard deviation of that share over layers; null is the one measured, 0 where none was.
    popularity_sd, request_sd, token_sd, persistence
        Of the archetype (`simulator.experts.sampling.Archetype`); null takes its own. Scaling keeps
        the ratio of the request's to the token's deviation.
    path
        Parquet file of the routes that ``recorded`` follows (`simulator.experts.recorded`).
    """

    law: str = "overlap"
    within_request: float | None = None
    across_requests: float | None = None
    prompt: float | None = None
    archetype: str | None = None
    overlap: float | None = None
    layer_sd: float | None = None
    popularity_sd: float | None = None
    request_sd: float | None = None
    token_sd: float | None = None
    persistence: float | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        self._check_range(EXPONENTS, "(0, 1]; 1 means independent routing", lambda x: 0 < x <= 1)
        self._check_range(("overlap",), "(0, 1)", lambda x: 0 < x < 1)
        self._check_range(("persistence",), "[0, 1)", lambda x: 0 <= x < 1)
        deviations = ("layer_sd", "popularity_sd", "request_sd", "token_sd")
        self._check_range(deviations, "[0, 100]", lambda x: 0 <= x <= 100)
        self._check_effect()
        if self.law == "recorded" and self.path is None:
            raise ConfigError(
                "routing.law=recorded follows routes of a file; name it with routing.path=FILE."
            )

    def _check_range(
        self, keys: Iterable[str], where: str, within: Callable[[float], bool]
    ) -> None:
        for key in keys:
            value = getattr(self, key)
            if value is not None and not within(value):
                raise ConfigError(f"routing.{key}={value!r} must lie in {where}.")

    def _check_effect(self) -> None:
        """Refuse what the law does not read; a law of a plug-in may read everything."""
        read = _SETTINGS.get(self.law)
        if read is None:
            return
        for law, keys in _SETTINGS.items():
            for key in keys:
                if key not in read and getattr(self, key) is not None:
                    raise ConfigError(
                        f"routing.{key}={getattr(self, key)!r} has no effect with "
                        f"routing.law={self.law}; choose routing.law={law}."
                    )


CONTIGUOUS, LOAD_AWARE = "contiguous", "load_aware"
"""Placements that settings are checked against; `placement_kinds.PLACEMENTS` has all."""

FIDELITIES = ("expected", "sampled", "event")
"""How closely expert dispatch is followed: closed forms, loads drawn per layer, or every event."""


LRU, PINNED = OFFLOAD_POLICIES = ("lru", "pinned")
"""Which experts of a layer stay on the GPU: the last used, or the most popular for good."""

NO_PREFETCH = "none"
"""The ``prefetch`` that brings nothing beforehand."""

LAST_TOKEN = "last_token"
"""The ``prefetch`` that brings what the step before used."""

LEARNED = "learned"
"""The ``prefetch`` that asks a trained predictor about the draft tokens."""


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
    predictor
        File of the predictor that ``prefetch=learned`` asks (``moesim study prefetch`` trains it).
    host_bandwidth
        Bandwidth from host memory to a GPU, bytes/s; null: the peak of the GPU's host link.
    """

    resident_experts: int
    policy: str = LRU
    prefetch: str = NO_PREFETCH
    prefetch_experts: int = 0
    predictor: str | None = None
    host_bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.policy not in OFFLOAD_POLICIES:
            where = "experts.offload.policy"
            raise ConfigError(unknown("offload policy", self.policy, OFFLOAD_POLICIES, where))
        if self.resident_experts < 1:
            raise ConfigError(
                f"experts.offload.resident_experts={self.resident_experts!r} must be at least 1."
            )
        if self.host_bandwidth is not None and not 1e6 <= self.host_bandwidth <= 1e13:
            raise ConfigError(
                f"experts.offload.host_bandwidth={self.host_bandwidth!r} must lie in 1e6..1e13 "
                f"bytes/s (PCIe 4.0 x16: 3.15e10), or be null."
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
        if (self.prefetch == LEARNED) != (self.predictor is not None):
            raise ConfigError(
                f"experts.offload.predictor={self.predictor or 'null'} does not go with "
                f"experts.offload.prefetch={self.prefetch}: {LEARNED} needs the file of a "
                f"predictor (moesim study prefetch trains one), and nothing else reads one."
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
        self._check_placement()

    def _check_placement(self) -> None:
        """Refuse settings of placement that this placement or fidelity does not read."""
        if not self.drawn and self.placement != CONTIGUOUS:
            raise ConfigError(
                f"experts.placement={self.placement} has no effect with experts.fidelity=expected, "
                f"whose closed forms take all experts as equally popular; choose "
                f"experts.fidelity=sampled or event."
            )
        balanced = self.placement == LOAD_AWARE
        # Closed forms take the slots of replicas as evenly busy, wherever they lie.
        replicated = balanced or not self.drawn or names_a_file(self.placement)
        period_s = self.rebalance_period_s
        if period_s is not None and not 0 < period_s < float("inf"):
            raise ConfigError(f"experts.rebalance_period_s={period_s!r} must be positive, or null.")
        for key, reads in (("redundant", replicated), ("rebalance_period_s", balanced)):
            if getattr(self, key) and not reads:
                raise ConfigError(
                    f"experts.{key}={getattr(self, key)!r} has no effect with experts.placement="
                    f"{self.placement}; choose experts.placement={LOAD_AWARE}."
                )

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
