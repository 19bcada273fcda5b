"""Settings of what tells requests apart: traffic classes, shared prefixes, conversations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.slo import SloConfig
from simulator.workload.requests import MAX_TOKENS

MAX_COUNT = 1_000_000
"""Most tenants of a class, groups of prefixes and conversations at once (kind: assumed)."""

MOST_TURNS = 10_000
"""Most turns of a session in a closed loop on average (kind: assumed): they are drawn together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficClassConfig:
    """One entry of ``workload.traffic_classes``.

    Parameters
    ----------
    name
        What reports call it.
    share
        Its share of the requests, relative to those of the others.
    priority
        Lower comes first under ``scheduler.queue=priority`` (vLLM's ``priority``).
    tenants
        Whom its requests belong to: so many tenants, equally active, no two classes' the same.
    cancel_after_s
        Mean of the exponential time after which its clients give up, s. Null: they never do.
    slo
        What its requests are promised, in place of the config group ``slo``. Null: the same as all.
    """

    name: str
    share: float = 1.0
    priority: int = 0
    tenants: int = 1
    cancel_after_s: float | None = None
    slo: SloConfig | None = None

    def __post_init__(self) -> None:
        where = f"workload.traffic_classes, {self.name!r}"
        _above_zero(f"{where}: share", self.share)
        _above_zero(f"{where}: cancel_after_s", self.cancel_after_s)
        _within(f"{where}: tenants", self.tenants, 1, MAX_COUNT)
        _within(f"{where}: priority", self.priority, -MAX_COUNT, MAX_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPrefixConfig:
    """The setting ``workload.shared_prefix``: system prompts and the like.

    Parameters
    ----------
    tokens
        Length of each prefix; it is part of the prompt, and a shorter prompt has less of it.
    groups
        How many different ones there are.
    zipf
        Exponent of their popularity: the k-th is used in proportion to ``k**-zipf``; 0: all alike.
    """

    tokens: int
    groups: int = 1
    zipf: float = 0.0

    def __post_init__(self) -> None:
        _within("workload.shared_prefix.tokens", self.tokens, 1, MAX_TOKENS)
        _within("workload.shared_prefix.groups", self.groups, 1, MAX_COUNT)
        _within("workload.shared_prefix.zipf", self.zipf, 0, 10)
        if self.zipf and self.groups == 1:
            raise ConfigError(
                f"workload.shared_prefix.zipf={self.zipf:g} says which of several prefixes is "
                "popular, but there is one; set workload.shared_prefix.groups above 1 or zipf to 0."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsConfig:
    """The setting ``workload.sessions``: conversations, each turn of which begins with all before.

    Parameters
    ----------
    turns
        Mean number of turns (geometric).
    max_tokens
        Longest prompt, all before included; a conversation that would exceed it starts anew, or is
        compacted.
    live
        Open loop: how many go on at once. The one that was silent longest has the next turn,
        whether or not its last answer is out.
    think_s
        Closed loop: mean of the exponential time from when a turn leaves to the next, s. How many
        go on at once follows.
    compacted_tokens
        Closed loop: what a conversation that would exceed ``max_tokens`` is compacted to; 0: it
        starts anew.

    Raises
    ------
    ConfigError
        If a value is out of range, or it is not clear which loop is meant.
    """

    turns: float
    max_tokens: int
    live: int | None = None
    think_s: float | None = None
    compacted_tokens: int = 0

    def __post_init__(self) -> None:
        if (self.live is None) == (self.think_s is None):
            raise ConfigError(
                "workload.sessions needs either live, the conversations of an open loop, or "
                "think_s, the time that users of a closed loop think before their next turn."
            )
        if self.live is not None:
            _within("workload.sessions.live", self.live, 1, MAX_COUNT)
        _above_zero("workload.sessions.think_s", self.think_s)
        _within("workload.sessions.max_tokens", self.max_tokens, 1, MAX_TOKENS)
        if not 1.0 < self.turns <= MAX_COUNT:
            raise ConfigError(
                f"workload.sessions.turns is {self.turns:g}; set it above 1 and up to "
                f"{MAX_COUNT:,}, or sessions to null for single turns."
            )
        if self.think_s is not None:
            _within("workload.sessions.turns in a closed loop", self.turns, 1, MOST_TURNS)
        if self.compacted_tokens and self.think_s is None:
            raise ConfigError(
                "workload.sessions.compacted_tokens compacts conversations of a closed loop only; "
                "set workload.sessions.think_s, or compacted_tokens to 0."
            )
        _within("workload.sessions.compacted_tokens", self.compacted_tokens, 0, self.max_tokens)


def _above_zero(what: str, value: float | None) -> None:
    if value is not None and not 0.0 < value < math.inf:
        raise ConfigError(f"{what} is {value:g}; set it above 0.")


def _within(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{what} is {value:g}; set it between {low:,} and {high:,}.")
