"""Settings of a workload, checked as soon as they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass

from simulator.errors import ConfigError, unknown
from simulator.workload.readers.policy import ON_BAD_ROW
from simulator.workload.requests import MAX_TOKENS
from simulator.workload.traits_config import SessionsConfig, SharedPrefixConfig, TrafficClassConfig

MIN_RATE, MAX_RATE = 1e-6, 1e6
"""Accepted rates, requests/s: one request in eleven days to a million a second (kind: assumed)."""

MAX_RATE_SCALE = 1000.0
"""Most copies of a recorded request (judgement): copies beyond a few are no longer traffic."""

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
    on_bad_row
        What to do with a bad row of a trace: ``error`` stops, ``skip`` counts it and goes on.
    hash_tokens
        Tokens that a prefix hash of the trace stands for. Null: as its format has it.
    window_s
        Replays what came from the first to the second time, s. Null: all of the trace.
    keep_share
        Replays this share of the trace's requests or conversations, taken by chance: fewer users,
        so that burstiness falls towards that of a Poisson process.
    rate_scale
        Replays so many times the requests in the same time, with the burstiness of the trace.
    time_stretch
        Takes so many times as long for the same requests: 0.5 replays twice as fast.
    jitter_s
        Spreads requests that were recorded at one instant over so long, s. Null: over the tick of
        the format (3 s for Mooncake, none for others). 0: leaves them together.
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
    on_bad_row: str = "error"
    hash_tokens: int | None = None
    window_s: tuple[float, ...] | None = None
    keep_share: float = 1.0
    rate_scale: float = 1.0
    time_stretch: float = 1.0
    jitter_s: float | None = None
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
        _within("rate_scale", self.rate_scale, 1e-3, MAX_RATE_SCALE, "(1 replays as recorded)")
        _within("time_stretch", self.time_stretch, MIN_RATE, MAX_RATE, "(1 replays as recorded)")
        _within("hash_tokens", self.hash_tokens, 1, 65_536, "tokens")
        _within("jitter_s", self.jitter_s, 0, 3600, "s")
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

    def _check_replay(self) -> None:
        if self.kind in _FOREIGN and self.kind != "trace":
            for field in fields(self):
                value = getattr(self, field.name)
                if field.name in _REPLAY and value != field.default:
                    raise ConfigError(
                        f"workload.{field.name} is {value!r}, but it is about traces only "
                        f"(workload.kind=trace); {_REPLAY[field.name]}."
                    )
        if self.on_bad_row not in ON_BAD_ROW:
            raise ConfigError(unknown("policy", self.on_bad_row, ON_BAD_ROW, "workload.on_bad_row"))
        window = self.window_s
        if window is not None and not (len(window) == 2 and 0 <= window[0] < window[1] < math.inf):
            raise ConfigError(
                f"workload.window_s is {list(window)}; give two times of the trace in seconds, the "
                "first below the second: [0, 600]."
            )
        if not 0.0 < self.keep_share <= 1.0:
            raise ConfigError(
                f"workload.keep_share is {self.keep_share}; set it above 0 and up to 1, which "
                "keeps all. For more requests than recorded set workload.rate_scale."
            )

    def _check_kind(self) -> None:
        self._check_replay()
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


_REPLAY = {
    "on_bad_row": "leave it at error",
    "hash_tokens": "leave it null",
    "window_s": "leave it null",
    "keep_share": "set workload.rate instead",
    "rate_scale": "set workload.rate instead",
    "time_stretch": "set workload.rate instead",
    "jitter_s": "leave it null",
}
"""Settings of traces alone, and what to do where there is none."""


def _within(key: str, value: float | None, low: float, high: float, unit: str) -> None:
    """Refuse a number outside its range; NaN is outside every range."""
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"workload.{key} is {value}; set it between {low:g} and {high:g} {unit}.")
