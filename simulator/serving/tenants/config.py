"""Settings of tenants: attacks, who sends what when, limits, and what a query costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import simulator.serving.tenants.square  # noqa: F401 - registers itself
from simulator.errors import ConfigError, unknown
from simulator.serving.tenants.attacks import ATTACKS, Reach
from simulator.serving.tenants.balls import NORMS

FIRST_HIT, VERIFIED = "first_hit", "verified"

STOPS = (FIRST_HIT, VERIFIED)
"""Rules that end a session."""

LEAST_RADIUS = 1e-6
"""Below it steps are lost in rounding."""


def _at_least(what: str, value: float, least: float, *, above: bool = False) -> None:
    if not least <= value < math.inf or (above and value == least):
        bound = f"{'more than' if above else 'at least'} {least}"
        raise ConfigError(f"{what}={value} must be {bound}, and finite.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackConfig:
    """An attack.

    Parameters
    ----------
    kind
        Name in `ATTACKS`.
    mu
        Size of a perturbation, in units of a pixel's range; None for 0.02, or where the attack has
        none.
    samples
        q, directions of one estimate of a gradient; None for 15, or where none is estimated.
    step
        Length of a step along it; None for a fifth of the radius, or likewise.
    radius, norm
        Ball in which an adversarial picture must lie.
    budget
        Queries after which no step begins, nor is a hit verified.
    eot
        How often every point is asked and averaged.
    stop
        ``first_hit``: at the first misclassified candidate; ``verified``: if most of ``repeats``
        further replies are wrong as well.
    repeats
        See ``stop``; None for 5, or at ``first_hit``.
    """

    kind: str = "nes"
    mu: float | None = None
    samples: int | None = None
    step: float | None = None
    radius: float = 0.15
    norm: str = "linf"
    budget: int = 2000
    eot: int = 1
    stop: str = VERIFIED
    repeats: int | None = None

    def __post_init__(self) -> None:
        attack = ATTACKS.get(self.kind)()
        if self.norm not in NORMS:
            raise ConfigError(unknown("norm", self.norm, NORMS))
        if self.norm not in attack.norms:
            raise ConfigError(
                f"norm={self.norm}: attack={self.kind} is made for {' and '.join(attack.norms)}."
            )
        if self.stop not in STOPS:
            raise ConfigError(unknown("rule to stop", self.stop, STOPS, "stop"))
        for name in ("mu", "samples", "step"):
            value = getattr(self, name)
            if value is not None and name not in attack.uses:
                raise ConfigError(
                    f"{name}={value} has no effect: attack={self.kind} has no {name}."
                )
            if value is not None:
                _at_least(name, value, 0, above=True)
        _at_least("radius", self.radius, LEAST_RADIUS)
        if self.repeats is not None and not self.verifies:
            raise ConfigError(f"repeats={self.repeats} has no effect: stop={self.stop}.")
        counts = {"budget": self.budget, "eot": self.eot, "repeats": self.verifying}
        for name, count in counts.items():
            _at_least(name, count, 1)
        if self.budget <= self.step_queries:
            raise ConfigError(
                f"budget={self.budget} is spent before the attack has moved: its first step takes "
                f"{self.step_queries} queries, and only their replies tell it where to go."
            )

    @property
    def step_queries(self) -> int:
        """Queries of a step, those that verify a hit aside."""
        return self.eot * ATTACKS.get(self.kind)().points(self.reach.samples)

    @property
    def perturbed(self) -> int:
        """See `attacks.Attack`."""
        return ATTACKS.get(self.kind)().perturbed

    @property
    def verifying(self) -> int:
        """Replies that verify a hit."""
        return 5 if self.repeats is None else self.repeats

    @property
    def perturbs(self) -> bool:
        """Whether it has a perturbation size, mu."""
        return "mu" in ATTACKS.get(self.kind)().uses

    @property
    def verifies(self) -> bool:
        """Whether a hit is asked again before it counts."""
        return self.stop == VERIFIED

    @property
    def reach(self) -> Reach:
        """What the attack may do, filled in."""
        return Reach(
            mu=0.02 if self.mu is None else self.mu,
            samples=15 if self.samples is None else self.samples,
            radius=self.radius,
            norm=self.norm,
            step=self.radius / 5.0 if self.step is None else self.step,
            budget=self.budget // self.eot,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What the router lets each tenant send to the endpoint.

    Parameters
    ----------
    rate_per_s
        Queries per second in the long run; infinity for no limit.
    burst
        Queries that may come at once after a pause; without meaning if there is no limit.
    quota
        Queries in the whole run; None for no quota.
    """

    rate_per_s: float = math.inf
    burst: int = 10
    quota: int | None = None

    def __post_init__(self) -> None:
        if self.rate_per_s != math.inf:
            _at_least("rate_per_s", self.rate_per_s, 0, above=True)
        _at_least("burst", self.burst, 1)
        if self.quota is not None:
            _at_least("quota", self.quota, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """What a query to the classifier costs: a batch of n takes ``batch_s + n query_s`` alone.

    Parameters
    ----------
    servers
        How many serve, each a batch at a time.
    batch_s, query_s
        See above. What ships is assumed: an encoder of some 300M parameters on a data-centre GPU.
    max_batch
        Most queries of a batch. A server that is free takes what waits, without waiting for more.
    share
        Share of the GPU that it gets while an LLM replica computes there too, in (0, 1); the
        replica has the rest, and whoever is alone has all. None: it has GPUs of its own.
    """

    servers: int = 1
    batch_s: float = 0.004
    query_s: float = 0.0005
    max_batch: int = 32
    share: float | None = None

    def __post_init__(self) -> None:
        _at_least("servers", self.servers, 1)
        _at_least("max_batch", self.max_batch, 1)
        _at_least("batch_s", self.batch_s, 0)
        _at_least("query_s", self.query_s, 0, above=True)
        if self.share is not None and not 0.0 < self.share < 1.0:
            raise ConfigError(
                f"share={self.share} must lie between 0 and 1, or be null for GPUs of its own."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantsConfig:
    """Who uses the endpoint, from the start of a run up to its horizon.

    Parameters
    ----------
    horizon_s
        When the last query is sent; a session under way is cut off then.
    attackers
        Tenants that attack, each one session after another.
    gap_s
        Mean of the exponential time before a session, from the end of the one before.
    think_s
        Time that an attacker's program takes between two steps.
    benign_rate_per_s, benign_tenants
        Poisson arrivals of ordinary queries, and among how many tenants they are spread evenly.
    attack, limits, endpoint
        What attackers do, what they may send, and what it costs.
    """

    horizon_s: float = 600.0
    attackers: int = 20
    gap_s: float = 60.0
    think_s: float = 0.0
    benign_rate_per_s: float = 20.0
    benign_tenants: int = 50
    attack: AttackConfig = AttackConfig()
    limits: LimitsConfig = LimitsConfig()
    endpoint: EndpointConfig = EndpointConfig()

    def __post_init__(self) -> None:
        for name in ("horizon_s", "benign_rate_per_s"):
            _at_least(name, getattr(self, name), 0, above=True)
        _at_least("benign_tenants", self.benign_tenants, 1)
        for name in ("attackers", "gap_s", "think_s"):
            _at_least(name, getattr(self, name), 0)
