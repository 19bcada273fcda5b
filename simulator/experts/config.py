"""Settings of the routing law."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """The config group ``routing``.

    Parameters
    ----------
    law
        Kind of the law: ``uniform`` or ``overlap``.
    within_request
        Exponent g of ``overlap`` for tokens of one request, in (0, 1]; 1 is independent.
    across_requests
        Exponent h of ``overlap`` over requests, in (0, 1]; 1 is independent.
    """

    law: str = "uniform"
    within_request: float = 1.0
    across_requests: float = 1.0

    def __post_init__(self) -> None:
        for key in ("within_request", "across_requests"):
            value = getattr(self, key)
            if not 0.0 < value <= 1.0:
                raise ConfigError(
                    f"routing.{key}={value!r} must lie in (0, 1]; 1 means independent routing."
                )
