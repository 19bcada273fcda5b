"""Settings of a workload, checked as soon as they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, is_dataclass

from simulator.errors import ConfigError, unknown, written
from simulator.workload.markov import RateState
from simulator.workload.mix_config import MixPartConfig, check_names
from simulator.workload.renewal import MAX_CV, MIN_CV
from simulator.workload.replay_config import SESSION_STARTS, check_replay, of_sessions
from simulator.workload.requests import MAX_TOKENS
from simulator.workload.traits_config import SessionsConfig, SharedPrefixConfig, TrafficClassConfig

MIN_RATE, MAX_RATE = 1e-6, 1e6
"""Accepted rates, requests/s: one request in eleven days to a million a second (kind: assumed)."""

MAX_CONCURRENCY = 100_000
"""Most users of a closed loop (kind: assumed): far beyond what one deployment holds at once."""

_RENEWAL, _MARKOV = ("gamma", "weibull"), ("markov_modulated",)
"""Arrival laws with settings of their own."""

_FOREIGN = {
    "preset": {
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "think_s": "use workload.sessions.think_s for conversations, or workload.kind=closed_loop",
        "path": "use workload.kind=trace to replay a file",
        "mix": "use workload.kind=mix for several presets",
    },
    "mix": {
        "preset": "list presets in workload.mix, or use workload.kind=preset for one",
        "arrivals": "each preset of a mix has its own: leave it null",
        "interarrival_cv": "each preset of a mix has its own: leave it null",
        "rate_states": "each preset of a mix has its own: leave it empty",
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "think_s": "presets of a mix have their own sessions: leave it null",
        "path": "use workload.kind=trace to replay a file",
        "prompt_tokens": "presets of a mix have their own lengths: leave it null",
        "output_tokens": "presets of a mix have their own lengths: leave it null",
        "traffic_classes": "the parts of a mix are its classes: set theirs in workload.mix",
        "shared_prefix": "presets of a mix have their own: leave it null",
        "sessions": "presets of a mix have their own: leave it null",
    },
    "closed_loop": {
        "rate": "in a closed loop requests enter as others finish: leave it null",
        "arrivals": "in a closed loop requests enter as others finish: leave it null",
        "interarrival_cv": "in a closed loop requests enter as others finish: leave it null",
        "rate_states": "in a closed loop requests enter as others finish: leave it empty",
        "swing": "in a closed loop requests enter as others finish: leave it null",
        "diurnal": "in a closed loop requests enter as others finish: leave it null",
        "mix": "use workload.kind=mix for several presets",
        "path": "use workload.kind=trace to replay a file",
        "sessions": "conversations need an open loop (workload.kind=preset): leave it null",
    },
    "trace": {
        "rate": "a trace has its own: scale it with workload.rate_scale",
        "arrivals": "a trace has its own: leave it null",
        "interarrival_cv": "a trace has its own: leave it null",
        "rate_states": "a trace has its own: leave it empty",
        "swing": "a trace has its own: leave it null",
        "diurnal": "a trace has its own: leave it null",
        "think_s": "a trace has its own: leave it null",
        "mix": "use workload.kind=mix for several presets",
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "preset": "a trace brings its own requests: leave it null",
        "sessions": "a trace brings its own lengths: leave it null",
        "prompt_tokens": "a trace brings its own lengths: cap them with workload.max_prompt_tokens",
        "output_tokens": "a trace brings its own lengths: cap them with workload.max_output_tokens",
    },
    "servegen": {
        "arrivals": "every client has its own: leave it null",
        "swing": "the rates of the clients swing already: leave it null",
        "concurrency": "use workload.kind=closed_loop for a fixed number of users",
        "preset": "the clients bring their own requests: leave it null",
        "prompt_tokens": "clients have their own lengths: cap them with workload.max_prompt_tokens",
        "output_tokens": "clients have their own lengths: cap them with workload.max_output_tokens",
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


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""Days of a week, in the order of `workload.diurnal`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiurnalConfig:
    """How the rate of an open loop follows the hours of a week (`workload.diurnal`).

    Parameters
    ----------
    profile
        Name in ``workloads/diurnal``.
    start_day, start_hour
        When a run starts: day of the week, and hour of the day (UTC) in [0, 24).
    day_s
        Length of a day, s; shorter than 86,400 squeezes the week.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    profile: str
    start_day: str = "monday"
    start_hour: float = 0.0
    day_s: float = 86_400.0

    def __post_init__(self) -> None:
        if self.start_day not in DAYS:
            raise ConfigError(unknown("day", self.start_day, DAYS, "workload.diurnal.start_day"))
        if not 0.0 <= self.start_hour < 24.0:
            raise ConfigError(
                f"workload.diurnal.start_hour is {self.start_hour}; set it between 0 and 24."
            )
        _within("diurnal.day_s", self.day_s, 1.0, 1e9, "s; a day has 86400")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadConfig:
    """Which requests a run serves.

    Parameters
    ----------
    kind
        ``preset`` (open loop, fitted), ``mix`` (several of them), ``closed_loop``, ``trace`` or
        ``servegen`` (many clients);
        more by plug-in.
    preset
        Name of a preset, or path of a file of the same form. Null: ``chat`` for kind ``preset``;
        none for ``closed_loop``.
    mix
        Presets of a mix and their shares.
    rate
        Mean arrival rate, requests/s; of a trace of sessions, sessions that begin a second. Null:
        as measured in the preset's trace.
    arrivals
        Arrival law, ``poisson``, ``gamma_modulated``, ``gamma``, ``weibull`` or
        ``markov_modulated``. Null: the preset's.
    interarrival_cv
        Coefficient of variation of the times between arrivals, for ``gamma`` and ``weibull``.
    rate_states
        States of the rate, for ``markov_modulated``.
    swing, diurnal
        How the rate swings around its mean, or follows the hours of a week. Null: not at all.
    concurrency
        Users of a closed loop, each with one request in flight; of a trace of sessions, those that
        go on at once.
    think_s
        Mean of the exponential time for which a user of a closed loop thinks before a request, s.
        Null: no time.
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
    mix: tuple[MixPartConfig, ...] = ()
    rate: float | None = None
    arrivals: str | None = None
    interarrival_cv: float | None = None
    rate_states: tuple[RateState, ...] = ()
    swing: SwingConfig | None = None
    diurnal: DiurnalConfig | None = None
    concurrency: int | None = None
    think_s: float | None = None
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
        self._check_arrivals()
        for key, advice in _FOREIGN.get(self.kind, {}).items():
            value = getattr(self, key)
            if _given(value) and not (of_sessions(self) and key in SESSION_STARTS):
                plain = not is_dataclass(value) and not isinstance(value, (tuple, list))
                given = repr(value) if plain else "set"
                raise ConfigError(
                    f"workload.{key} is {given}, which means nothing to"
                    f" workload.kind={self.kind}; {advice}."
                )
        self._check_kind()
        check_names("traffic_classes", [one.name for one in self.traffic_classes])
        check_names("mix", [part.title for part in self.mix])

    def _check_ranges(self) -> None:
        _within("rate", self.rate, MIN_RATE, MAX_RATE, "requests/s")
        _within("concurrency", self.concurrency, 1, MAX_CONCURRENCY, "users")
        _within("interarrival_cv", self.interarrival_cv, MIN_CV, MAX_CV, "(1 is as Poisson)")
        _within("think_s", self.think_s, 1e-6, 1e9, "s; null lets users not think at all")
        for key in ("prompt_tokens", "output_tokens"):
            fixed, cap = getattr(self, key), getattr(self, f"max_{key}")
            _within(key, fixed, 1, MAX_TOKENS, "tokens")
            _within(f"max_{key}", cap, 1, MAX_TOKENS, "tokens")
            if fixed is not None and cap is not None and fixed > cap:
                raise ConfigError(
                    f"workload.{key} is {fixed}, above workload.max_{key}={cap}; raise the cap or"
                    " shorten the length."
                )

    def _check_arrivals(self) -> None:
        """Refuse what the arrival law would not look at."""
        if self.swing is not None and self.diurnal is not None:
            raise ConfigError(
                "workload.swing and workload.diurnal both say how the rate changes with time; set "
                "one of them to null."
            )
        for key, laws in (("interarrival_cv", _RENEWAL), ("rate_states", _MARKOV)):
            value = getattr(self, key)
            if _given(value) and self.arrivals not in laws:
                raise ConfigError(
                    f"workload.{key} is set, but workload.arrivals={written(self.arrivals)} does "
                    f"not look at it; take workload.arrivals={' or '.join(laws)}."
                )

    def _check_kind(self) -> None:
        if self.kind == "mix" and (not self.mix or self.rate is None):
            raise ConfigError(
                "workload.kind=mix needs workload.mix, its presets, such as [{preset: chat, share: "
                "3}, {preset: code}], and workload.rate, the requests/s of all together."
            )
        check_replay(self, tuple(_FOREIGN))
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
        if self.kind in ("trace", "servegen") and not self.path:
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


def _given(value: object) -> bool:
    """Tell whether a setting is neither null nor an empty list."""
    return value is not None and (not isinstance(value, (tuple, list)) or bool(value))


def _within(key: str, value: float | None, low: float, high: float, unit: str) -> None:
    """Refuse a number outside its range; NaN is outside every range."""
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"workload.{key} is {value}; set it between {low:g} and {high:g} {unit}.")
