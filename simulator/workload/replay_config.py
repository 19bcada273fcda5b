"""Checks of the settings that are about recorded traces."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

from simulator.errors import ConfigError, unknown
from simulator.workload.readers.policy import ON_BAD_ROW

if TYPE_CHECKING:
    from simulator.workload.config import WorkloadConfig

SESSION_FORMATS = ("agentic",)
"""Formats of recorded sessions, which tell times since each began."""

SESSION_STARTS = ("concurrency", "rate")
"""Settings that say when recorded sessions begin."""

_TRACES_ONLY = {
    "format": "leave it at azure",
    "on_bad_row": "leave it at error",
    "hash_tokens": "leave it null",
    "window_s": "leave it null",
    "keep_share": "set workload.rate instead",
    "rate_scale": "set workload.rate instead",
    "time_stretch": "set workload.rate instead",
    "jitter_s": "leave it null",
}
"""Settings of traces alone, and what to do where there is none."""

_TIMED = ("window_s", "keep_share", "rate_scale", "time_stretch", "jitter_s")
"""Settings about times of arrival that a trace has recorded."""

_RANGES = {
    "rate_scale": (1e-3, 1e3, "times as many requests (1 replays as recorded)"),
    "time_stretch": (1e-6, 1e6, "times as long (1 replays as recorded)"),
    "hash_tokens": (1, 65_536, "tokens"),
    "jitter_s": (0, 3600, "s"),
}
"""Lowest and highest values (kind: assumed), and what they count."""

_ALLOWED = {"servegen": ("window_s",)}
"""Settings of traces that kinds beside ``trace`` look at."""


def of_sessions(config: WorkloadConfig) -> bool:
    """Tell whether a trace of sessions is replayed, whose requests wait for one another."""
    return config.kind == "trace" and config.format in SESSION_FORMATS


def check_replay(config: WorkloadConfig, known_kinds: tuple[str, ...]) -> None:
    """Refuse settings of a replay that are out of range or mean nothing to the kind.

    Parameters
    ----------
    config
        The settings of the workload.
    known_kinds
        Kinds of which it is known what they look at; those of plug-ins may look at anything.

    Raises
    ------
    ConfigError
        If there is one.
    """
    if config.kind in known_kinds and config.kind != "trace":
        foreign = [key for key in _TRACES_ONLY if key not in _ALLOWED.get(config.kind, ())]
        for key, value in _changed(config, foreign):
            raise ConfigError(
                f"workload.{key} is {value!r}, but it is about traces only (workload.kind=trace); "
                f"{_TRACES_ONLY[key]}."
            )
    for key, (low, high, unit) in _RANGES.items():
        value = getattr(config, key)
        if value is not None and not low <= value <= high:
            raise ConfigError(
                f"workload.{key} is {value}; set it between {low:g} and {high:g} {unit}."
            )
    if config.on_bad_row not in ON_BAD_ROW:
        raise ConfigError(unknown("policy", config.on_bad_row, ON_BAD_ROW, "workload.on_bad_row"))
    window = config.window_s
    if window is not None and not (len(window) == 2 and 0 <= window[0] < window[1] < math.inf):
        raise ConfigError(
            f"workload.window_s is {list(window)}; give two times of the trace in seconds, the "
            "first below the second: [0, 600]."
        )
    if not 0.0 < config.keep_share <= 1.0:
        raise ConfigError(
            f"workload.keep_share is {config.keep_share}; set it above 0 and up to 1, which keeps "
            "all. For more requests than recorded set workload.rate_scale."
        )
    if of_sessions(config):
        _check_sessions(config)


def _check_sessions(config: WorkloadConfig) -> None:
    given = [key for key in SESSION_STARTS if getattr(config, key) is not None]
    if len(given) != 1:
        raise ConfigError(
            f"workload.format={config.format} has sessions that tell no common time; set "
            "workload.concurrency (how many go on at once) or workload.rate (how many begin a "
            f"second){', not both' if given else ''}."
        )
    for key, value in _changed(config, _TIMED):
        raise ConfigError(
            f"workload.{key} is {value!r}, but workload.format={config.format} has sessions whose "
            f"requests wait for one another; set workload.{given[0]} instead."
        )


def _changed(config: WorkloadConfig, keys: list[str] | tuple[str, ...]) -> list[tuple[str, object]]:
    """Return those of the settings that are not at their defaults, with their values."""
    defaults = {field.name: field.default for field in fields(config)}
    return [(key, getattr(config, key)) for key in keys if getattr(config, key) != defaults[key]]
