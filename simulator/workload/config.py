"""Settings of a workload, checked as soon as they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, is_dataclass

from simulator.errors import ConfigError
from simulator.workload.requests import MAX_TOKENS
from simulator.workload.traits_config import SessionsConfig, SharedPrefixConfig, TrafficClassConfig

MIN_RATE, MAX_RATE = 1e-6, 1e6
"""Accepted rates, requests/s: one request in eleven days to a million a second (kind: assumed)."""

MAX_CONCURRENCY = 100_000
"""Most users of a closed loop (kind: assumed): far beyond what one deployment holds at once."""

_FOREIGN = {
    "preset": {
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "path": "use workload.kind=trace to replay a file",
    },
    "closed_loop": {
        "rate": "in a closed loop requests enter as others finish: leave it null",
        "arrivals": "in a closed loop requests enter as others finish: leave it null",
        "swing": "in a closed loop requests enter as others finish: leave it null",
        "path": "use workload.kind=trace to replay a file",
        "sessions": "conversations need an open loop (workload.kind=preset): leave it null",
    },
    "trace": {
        "rate": "a trace has its own: scale it with workload.rate_scale",
        "arrivals": "a trace has its own: leave it null",
        "swing": "a trace has its own: leave it null",
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "preset": "a trace brings its own requests: leave it null",
        "sessions": "a trace brings its own lengths: leave it null",
        "prompt_tokens": "a trace brings its own lengths: cap them with workload.max_prompt_tokens",
        "output_tokens": "a trace brings its own lengths: cap them with workload.max_output_tokens",
    },
}
"""Settings that mean nothing to a kind, and what to do instead."""


MAX_PEAK_TO_MEAN = 20.0
"""Highest peak of a swing (kind: assumed); the highest published hourly peak is 3.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwingConfig:
    """How the rate of an open loop swings (`workload.swing`).

    Parameters
    ----------
    period_s
        Time from trough to trough, s.
    peak_to_mean
        Highest rate over mean rate, above 1.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    period_s: float = 86_400.0
    peak_to_mean: float = 1.71

    def __post_init__(self) -> None:
        _within("swing.period_s", self.period_s, 1.0, 1e9, "s; a day has 86400")
        if not 1.0 < self.peak_to_mean <= MAX_PEAK_TO_MEAN:
            raise ConfigError(
                f"workload.swing.peak_to_mean is {self.peak_to_mean}; set it above 1 and up to "
                f"{MAX_PEAK_TO_MEAN:g}. Azure's conversations of 2024 have 1.71; "
                "workload.swing=null keeps the mean rate."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadConfig:
    """Which requests a run serves.

    Parameters
    ----------
    kind
        ``preset`` (open loop, fitted), ``closed_loop`` or ``trace``; more by plug-in.
    preset
        Name of a preset. Null: ``chat`` for kind ``preset``; none for ``closed_loop``.
    rate
        Mean arrival rate, requests/s. Null: as measured in the preset's trace.
    arrivals
        Arrival law, ``poisson`` or ``gamma_modulated``. Null: the preset's.
    swing
        How the rate swings around its mean. Null: not at all.
    concurrency
        Users of a closed loop, each with one request in flight.
    path, format
        Trace file to replay, and how it is written (``azure``).
    rate_scale
        Replays a trace this many times faster.
    prompt_tokens, output_tokens
        Fixed lengths, tokens, in place of the preset's laws.
    random_range_ratio
        Spread of the fixed lengths: they are drawn uniformly from this share of them up to them.
        1: all alike. Named after the option of InferenceX's load generator.
    max_prompt_tokens, max_output_tokens
        Longer lengths are cut to this many tokens. Null: the preset's own caps.
    traffic_classes
        What kinds of requests there are, for priorities, tenants and patience. None: one kind.
    shared_prefix
        What prompts begin with in common. Null: nothing.
    sessions
        Conversations that requests are turns of. Null: none.

    Raises
    ------
    ConfigError
        If a value is out of range, missing, or means nothing to the kind.

    Examples
    --------
    >>> WorkloadConfig(preset="code", rate=3.0).kind
    'preset'
    >>> WorkloadConfig(rate=-1.0)
    Traceback (most recent call last):
    ...
    simulator.errors.ConfigError: workload.rate is -1.0; set it between 1e-06 and 1e+06 requests/s.
    """

    kind: str = "preset"
    preset: str | None = None
    rate: float | None = None
    arrivals: str | None = None
    swing: SwingConfig | None = None
    concurrency: int | None = None
    path: str | None = None
    format: str = "azure"
    rate_scale: float = 1.0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    random_range_ratio: float = 1.0
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    traffic_classes: tuple[TrafficClassConfig, ...] = ()
    shared_prefix: SharedPrefixConfig | None = None
    sessions: SessionsConfig | None = None

    def __post_init__(self) -> None:
        self._check_ranges()
        for key, advice in _FOREIGN.get(self.kind, {}).items():
            value = getattr(self, key)
            if value is not None:
                given = "set" if is_dataclass(value) else repr(value)
                raise ConfigError(
                    f"workload.{key} is {given}, which means nothing to"
                    f" workload.kind={self.kind}; {advice}."
                )
        self._check_kind()
        names = [one.name for one in self.traffic_classes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(
                f"workload.traffic_classes has two classes named {twice!r}; name them differently."
            )

    def _check_ranges(self) -> None:
        _within("rate", self.rate, MIN_RATE, MAX_RATE, "requests/s")
        _within("rate_scale", self.rate_scale, MIN_RATE, MAX_RATE, "(1 replays as recorded)")
        _within("concurrency", self.concurrency, 1, MAX_CONCURRENCY, "users")
        for key in ("prompt_tokens", "output_tokens"):
            fixed, cap = getattr(self, key), getattr(self, f"max_{key}")
            _within(key, fixed, 1, MAX_TOKENS, "tokens")
            _within(f"max_{key}", cap, 1, MAX_TOKENS, "tokens")
            if fixed is not None and cap is not None and fixed > cap:
                raise ConfigError(
                    f"workload.{key} is {fixed}, above workload.max_{key}={cap}; raise the cap or"
                    " shorten the length."
                )

    def _check_kind(self) -> None:
        if self.kind != "trace" and self.rate_scale != 1.0:
            raise ConfigError(
                f"workload.rate_scale is {self.rate_scale}, but it speeds up traces only; set"
                " workload.rate instead."
            )
        if not 0.0 < self.random_range_ratio <= 1.0:
            raise ConfigError(
                f"workload.random_range_ratio is {self.random_range_ratio}; set it above 0, and to "
                "1 for lengths that are all alike."
            )
        if self.random_range_ratio < 1.0 and (self.prompt_tokens or self.output_tokens) is None:
            raise ConfigError(
                f"workload.random_range_ratio is {self.random_range_ratio}, but it spreads fixed "
                "lengths only; set workload.prompt_tokens or workload.output_tokens."
            )
        if self.kind == "trace" and not self.path:
            raise ConfigError("workload.path is not set; name the trace file to replay.")
        if self.kind != "closed_loop":
            return
        if self.concurrency is None:
            raise ConfigError("workload.concurrency is not set; say how many users the loop has.")
        for key in ("prompt_tokens", "output_tokens"):
            if self.preset is None and getattr(self, key) is None:
                raise ConfigError(
                    f"workload.{key} is not set; fix it, or name a workload.preset to draw it from."
                )


def _within(key: str, value: float | None, low: float, high: float, unit: str) -> None:
    """Refuse a number outside its range; NaN is outside every range."""
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"workload.{key} is {value}; set it between {low:g} and {high:g} {unit}.")
