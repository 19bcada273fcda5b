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
