"""Service-level objectives: how soon tokens must come, and for what share of the requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.errors import ConfigError

BOUNDS = ("ttft_s", "tpot_s", "e2e_s")
"""The latencies that an objective may bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloConfig:
    """The config group ``slo``; a traffic class may have its own.

    A request meets it if it finishes and exceeds none of the bounds. One that is rejected, times
    out, is cancelled or lost does not meet it.

    Parameters
    ----------
    ttft_s
        Longest time to first token, from arrival, s; null leaves it open.
    tpot_s
        Longest time per output token after the first, s; null leaves it open.
    e2e_s
        Longest end-to-end latency, s; null leaves it open.
    share
        Share of the requests that must meet it, in (0, 1].

    Raises
    ------
    ConfigError
        If a bound or the share makes no sense.

    Examples
    --------
    >>> SloConfig(ttft_s=2.0, tpot_s=0.1).bounds
    {'ttft_s': 2.0, 'tpot_s': 0.1}
    >>> bool(SloConfig().bounds)
    False
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    share: float = 0.99

    def __post_init__(self) -> None:
        for key in BOUNDS:
            bound_s = getattr(self, key)
            if bound_s is not None and not (math.isfinite(bound_s) and bound_s > 0.0):
                raise ConfigError(
                    f"slo.{key}={bound_s!r} must be a time above 0 in seconds; null leaves it open."
                )
        if not 0.0 < self.share <= 1.0:
            raise ConfigError(
                f"slo.share={self.share!r} must lie in (0, 1]: it is the share of the requests "
                "that must meet the objective, for example 0.99."
            )

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set, s, by the latency they bound."""
        return {key: bound for key in BOUNDS if (bound := getattr(self, key)) is not None}
