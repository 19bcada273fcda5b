"""Candidate measurements of MoESD's parameters: rows of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from simulator.errors import ConfigError
from simulator.mapping import from_mapping
from simulator.speculation.performance import Points
from simulator.study.identify.kinds import kind_of
from simulator.study.identify.plan_file import PlanFile

BATCHES = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 80, 100)
"""Batches at which MoESD measured, requests (arXiv 2505.19645, fig. 4)."""

TOLERANCE = 0.01
"""Relative error of a measurement by default: the mean of a few repeats of a benchmark, assumed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate measurement.

    Parameters
    ----------
    kind
        A name from `KINDS`.
    top_k, gamma, batch
        Experts per token, draft length and requests; 1 where the kind does not feel them.
    tolerance
        Relative error within which two values cannot be told apart.
    """

    kind: str
    top_k: int
    gamma: int
    batch: int
    tolerance: float

    @property
    def label(self) -> str:
        """The measurement, for people.

        Examples
        --------
        >>> Row("ar_step_time", 8, 1, 16, 0.01).label
        'ar_step_time at K=8, B=16'
        """
        symbols = {"top_k": "K", "gamma": "gamma", "batch": "B"}
        axes = (f"{symbols[axis]}={getattr(self, axis)}" for axis in kind_of(self.kind).feels)
        return f"{self.kind} at {', '.join(axes)}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of a plan: every combination of its values, batches fastest."""

    kind: str
    top_k: tuple[int, ...] = ()
    gamma: tuple[int, ...] = ()
    batch: tuple[int, ...] = field(default=BATCHES)
    every: int = 1
    tolerance: float = TOLERANCE


def read_rows(plan: PlanFile, key: str, experts: int, top_k: int) -> list[Row]:
    """Read the rows under a key of a plan.

    Parameters
    ----------
    plan, key
        Where they stand. Entries give ``kind`` and values or lists of ``top_k``, ``gamma`` and
        ``batch``; they stand for every combination, by ``top_k``, then ``gamma``, then ``batch``.
        ``every: n`` keeps the first of every n of these.
    experts, top_k
        Of the target: the most experts per token, and how many where an entry does not say.

    Raises
    ------
    ConfigError
        If an entry is malformed; the message names its line.
    """
    rows: list[Row] = []
    for index, raw in enumerate(plan.entries(key)):
        place = plan.place(key, index)
        rows += _expand(_entry(raw, place), experts, top_k, place)
    return rows


def _entry(raw: Any, place: str) -> Entry:
    """Read an entry; single values pass for lists."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{place} must be settings, such as '- {{kind: speedup, gamma: 4}}'.")
    lists = {"top_k", "gamma", "batch"}
    listed = {
        name: [value] if name in lists and not isinstance(value, list) else value
        for name, value in raw.items()
    }
    try:
        return from_mapping(Entry, listed, "")
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def _expand(entry: Entry, experts: int, top_k: int, place: str) -> Sequence[Row]:
    feels = kind_of(entry.kind, place).feels
    if not 0 < entry.tolerance < 1:
        raise ConfigError(
            f"{place}: tolerance={entry.tolerance!r} must be above 0 and below 1: the relative "
            "error of one measurement, such as 0.01."
        )
    if entry.every < 1:
        raise ConfigError(f"{place}: every={entry.every!r} must be at least 1.")
    values: dict[str, Sequence[int]] = {"top_k": (1,), "gamma": (1,)}
    limits = {"top_k": experts, "gamma": None, "batch": None}
    for axis, limit in limits.items():
        given = getattr(entry, axis)
        if given and axis not in feels and axis != "batch":
            raise ConfigError(f"{place}: {entry.kind} does not depend on {axis}; leave it out.")
        for value in given:
            if value < 1 or (limit and value > limit):
                raise ConfigError(f"{place}: {axis}={value!r} must be {_range(limit)}.")
        if axis in feels:
            values[axis] = given or {"top_k": (top_k,), "gamma": ()}.get(axis, ())
            if not values[axis]:
                raise ConfigError(f"{place}: {entry.kind} needs {axis}; write '{axis}: [2, 4]'.")
    combinations = product(*(values[axis] for axis in limits))
    return [Row(entry.kind, K, g, B, entry.tolerance) for K, g, B in combinations][:: entry.every]


def _range(limit: int | None) -> str:
    return f"from 1 to {limit}, the experts of the target" if limit else "at least 1"


def points_of(rows: Sequence[Row], experts: int, ridge_flop_per_byte: float) -> Points:
    """Return the operating points of rows.

    The share sigma is 1: it scales a speedup, so relative differences do without it.
    """
    batch, gamma, top_k = (
        [getattr(row, axis) for row in rows] for axis in ("batch", "gamma", "top_k")
    )
    return Points.of(batch, gamma, top_k, experts, 1.0, ridge_flop_per_byte)
