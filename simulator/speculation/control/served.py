"""A belief table as a file that a server can load: what it was learned on, and how to use it.

The file is JSON::

    {"format": "moesim belief table", "version": 1, "about": {...},
     "interval_s": 30.0, "gammas": [1, 3, 6],
     "acceptance_edges": [0.57, 0.73], "backlog_edges": [15],
     "model": {"transitions": [A][S][S], "observations": [S][O], "rewards": [O], "start": [S]},
     "divisions": 20, "actions": [one index into gammas per point of the belief grid]}

It is somebody's file: everything is checked before it is used.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError, DataError, SimulatorError, unknown
from simulator.speculation.config import MAX_DRAFT_TOKENS
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.table import BeliefTable

FORMAT, VERSION = "moesim belief table", 1

MOST_BYTES = 50_000_000
"""Largest file that is read: a table of five states and forty divisions has 1 MB."""

MOST_ENTRIES = 4_000_000
"""Most numbers of one list."""

_KEYS = (
    "format",
    "version",
    "about",
    "interval_s",
    "gammas",
    "acceptance_edges",
    "backlog_edges",
    "model",
    "divisions",
    "actions",
)
_MODEL = {"transitions": 3, "observations": 2, "rewards": 1, "start": 1}
"""Lists of a model, and how deep they are."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedTable:
    """Draft lengths by belief, and all that a server needs to keep the belief.

    Parameters
    ----------
    model
        What updates the belief. Observation ``k B + b``: bucket k of first-position acceptance,
        bucket b of B of the backlog.
    table
        Index of the draft length by belief.
    gammas
        Draft lengths by index, tokens.
    interval_s
        Time between decisions.
    acceptance_edges
        First-position acceptance of an interval at which the next bucket begins, rising.
    backlog_edges
        Last number of requests (waiting, prefilling, decoding) of every bucket but the last.
    about
        Where it comes from, for people.

    Raises
    ------
    ConfigError
        If the parts do not fit each other.
    """

    model: Pomdp
    table: BeliefTable
    gammas: tuple[int, ...]
    interval_s: float
    acceptance_edges: tuple[float, ...]
    backlog_edges: tuple[int, ...]
    about: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.gammas) != self.model.actions:
            raise ConfigError(
                f"gammas {list(self.gammas)} must be as many as the model has actions, "
                f"{self.model.actions}."
            )
        for gamma in self.gammas:
            if not 0 <= gamma <= MAX_DRAFT_TOKENS:
                raise ConfigError(f"gamma {gamma} must lie in 0..{MAX_DRAFT_TOKENS}.")
        if not 1e-6 <= self.interval_s <= 1e9:
            raise ConfigError(f"interval_s {self.interval_s!r} must be a time above 0, s.")
        for name in ("acceptance_edges", "backlog_edges"):
            edges = getattr(self, name)
            if any(one >= other for one, other in pairwise(edges)):
                raise ConfigError(f"{name} {list(edges)} must rise.")
        symbols = (len(self.acceptance_edges) + 1) * self.backlog_buckets
        if symbols != self.model.symbols:
            raise ConfigError(
                f"{len(self.acceptance_edges)} acceptance_edges and {len(self.backlog_edges)} "
                f"backlog_edges make {symbols} observations; the model has {self.model.symbols}."
            )
        if self.table.grid.states != self.model.states:
            raise ConfigError(
                f"the table is on beliefs about {self.table.grid.states} states; the model has "
                f"{self.model.states}."
            )
        if self.table.actions.max() >= self.model.actions:
            raise ConfigError(
                f"the table names action {self.table.actions.max()} of {self.model.actions}, "
                "counted from 0."
            )

    @property
    def backlog_buckets(self) -> int:
        """Buckets of the backlog, B."""
        return len(self.backlog_edges) + 1

    def observations(self, acceptance: float | None, requests: int) -> list[int]:
        """Return the observations that an interval may have shown.

        Parameters
        ----------
        acceptance
            Share of its drafts whose first token was accepted; None if nothing was drafted, so that
            every bucket of it is possible.
        requests
            Requests that were there when it began.
        """
        bucket = bisect_left(self.backlog_edges, requests)
        if acceptance is None:
            return list(range(bucket, self.model.symbols, self.backlog_buckets))
        return [bisect_right(self.acceptance_edges, acceptance) * self.backlog_buckets + bucket]

    def as_json(self) -> dict[str, Any]:
        """Return the content of its file."""
        model = self.model
        return {
            "format": FORMAT,
            "version": VERSION,
            "about": dict(self.about),
            "interval_s": self.interval_s,
            "gammas": list(self.gammas),
            "acceptance_edges": list(self.acceptance_edges),
            "backlog_edges": list(self.backlog_edges),
            "model": {
                "transitions": model.transitions.tolist(),
                "observations": model.observations.tolist(),
                "rewards": model.rewards.tolist(),
                "start": model.first_belief.tolist(),
            },
            "divisions": self.table.grid.divisions,
            "actions": self.table.actions.tolist(),
        }


def read_served(path: Path | str) -> ServedTable:
    """Read the file of a belief table, and check all of it.

    Raises
    ------
    DataError
        If it cannot be read, is no belief table, or holds something that cannot be; the message
        says what.
    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES:,} bytes: it is no belief table.")
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON file of a belief table: {error}.") from error
    try:
        return _served(content)
    except SimulatorError as error:
        raise DataError(f"{path}: {error}") from error


def _served(content: Any) -> ServedTable:
    _keys(content, _KEYS, "the file")
    if content["format"] != FORMAT or content["version"] != VERSION:
        raise DataError(
            f"format {content['format']!r}, version {content['version']!r} where this moesim reads "
            f"{FORMAT!r}, version {VERSION}; export it again with moesim study control."
        )
    _keys(content["model"], tuple(_MODEL), "model")
    model = Pomdp(
        **{
            key: _numbers(content["model"][key], f"model.{key}", depth)
            for key, depth in _MODEL.items()
        }
    )
    about = content["about"]
    if not isinstance(about, Mapping):
        raise DataError("about must be an object of texts.")
    grid = BeliefGrid(model.states, _whole(content["divisions"], "divisions"))
    return ServedTable(
        model=model,
        table=BeliefTable(grid, np.array(_wholes(content["actions"], "actions"), np.int64)),
        gammas=tuple(_wholes(content["gammas"], "gammas")),
        interval_s=float(_numbers([content["interval_s"]], "interval_s", 1)[0]),
        acceptance_edges=tuple(
            _numbers(content["acceptance_edges"], "acceptance_edges", 1).tolist()
        ),
        backlog_edges=tuple(_wholes(content["backlog_edges"], "backlog_edges")),
        about={str(key): str(value) for key, value in about.items()},
    )


def _keys(content: Any, expected: Sequence[str], place: str) -> None:
    """Refuse what is no object with exactly these keys."""
    if not isinstance(content, Mapping):
        raise DataError(f"{place} must be an object with the keys {', '.join(expected)}.")
    for key in content:
        if key not in expected:
            raise DataError(unknown("key", str(key), expected, place))
    missing = [key for key in expected if key not in content]
    if missing:
        raise DataError(f"{place} lacks {', '.join(missing)}.")


def _numbers(value: Any, place: str, depth: int) -> Array:
    """Return lists in lists, so deep, of finite numbers as an array; refuse everything else."""
    if not isinstance(value, list):
        raise DataError(f"{place} must be a list of numbers.")
    entries, left = 0, [value]
    while left:
        for item in left.pop():
            entries += 1
            if isinstance(item, list):
                left.append(item)
            elif isinstance(item, bool) or not isinstance(item, (int, float)):
                raise DataError(f"{place} holds {item!r}, no number.")
            if entries > MOST_ENTRIES:
                raise DataError(f"{place} holds more than {MOST_ENTRIES:,} numbers.")
    try:
        found = np.array(value, float)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{place} must be lists of equal length, its numbers finite.") from error
    if found.ndim != depth or not np.isfinite(found).all():
        raise DataError(f"{place} must be lists in lists, {depth} deep, of finite numbers.")
    return found


def _wholes(value: Any, place: str) -> list[int]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise DataError(f"{place} must be a list of at most {MOST_ENTRIES:,} integers.")
    return [_whole(item, place) for item in value]


def _whole(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise DataError(f"{place} holds {value!r}; it must be an integer, 0 or above.")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"it holds {text}, which is no finite number")
