"""Settings of the links over which keys and values go: parts of the config group ``cluster``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulator.errors import ConfigError


def check_positive(path: str, **values: float) -> None:
    """Refuse settings that are not positive and finite.

    Raises
    ------
    ConfigError
        If one is not; it is named after the path.
    """
    for key, value in values.items():
        if not 0 < value < float("inf"):
            raise ConfigError(f"{path}.{key}={value!r} must be positive and finite.")


def check_not_negative(path: str, **values: float) -> None:
    """Refuse settings that are below 0, or not finite.

    Raises
    ------
    ConfigError
        If one is; it is named after the path.
    """
    for key, value in values.items():
        if not 0 <= value < float("inf"):
            raise ConfigError(f"{path}.{key}={value!r} must be finite and at least 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedConfig:
    """A time in which a link is slower.

    Parameters
    ----------
    at_s, for_s
        When it starts, and how long it lasts, s.
    factor
        Share of the bandwidth that is left, in (0, 1).
    """

    at_s: float
    for_s: float
    factor: float

    def __post_init__(self) -> None:
        _check_time(self, "cluster.kv_link.degraded")


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedLinkConfig:
    """A time in which a link of a topology is slower, both ways.

    Parameters
    ----------
    link
        Its name: that of its ends, as in ``nic0-leaf0``.
    at_s, for_s, factor
        As of `DegradedConfig`.
    """

    link: str
    at_s: float
    for_s: float
    factor: float

    def __post_init__(self) -> None:
        _check_time(self, "cluster.degraded_links")


Degraded = DegradedConfig | DegradedLinkConfig
"""A time in which something is slower."""


def _check_time(time: Degraded, path: str) -> None:
    check_not_negative(path, at_s=time.at_s)
    check_positive(path, for_s=time.for_s)
    if not 0 < time.factor < 1:
        raise ConfigError(
            f"{path}.factor={time.factor!r} must lie in (0, 1): it is the share of the bandwidth "
            "that is left."
        )


def check_apart(times: Sequence[Degraded], path: str) -> None:
    """Refuse times that overlap.

    Raises
    ------
    ConfigError
        If one starts before another ends.
    """
    for earlier, later in pairwise(sorted(times, key=lambda time: time.at_s)):
        if earlier.at_s + earlier.for_s > later.at_s:
            raise ConfigError(
                f"{path}: the time from {later.at_s:g} s starts before the one from "
                f"{earlier.at_s:g} s ends. Make them follow one another."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class KvLinkConfig:
    """The link over which a prefill replica sends keys and values to a decode replica.

    Parameters
    ----------
    bytes_per_s
        Bandwidth of each sender, which sends one request at a time. The default is a 400 Gbit/s
        network card (InfiniBand NDR), at its peak.
    latency_s
        What follows until the data are usable, for each request by itself, s.
    degraded
        Times in which the bandwidth is lower; they do not overlap.
    """

    bytes_per_s: float = 50e9
    latency_s: float = 0.0
    degraded: tuple[DegradedConfig, ...] = ()

    def __post_init__(self) -> None:
        if not self.bytes_per_s > 0:
            raise ConfigError(f"cluster.kv_link.bytes_per_s={self.bytes_per_s!r} must be positive.")
        check_not_negative("cluster.kv_link", latency_s=self.latency_s)
        check_apart(self.degraded, "cluster.kv_link.degraded")
