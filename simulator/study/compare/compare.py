"""Runs against a reference: what changed, by how much, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import DataError
from simulator.study.compare.figures import Figure, Values, figures
from simulator.study.compare.pairing import Pairing, pair
from simulator.study.compare.runs import StoredRun
from simulator.trace.schema import ARMS
from simulator.trace.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    paired_ratio,
    welch_difference,
    welch_ratio,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one arm in a run and in the reference.

    Parameters
    ----------
    figure
        Which.
    reference, value
        Means over replications.
    change
        The run over the reference, or minus it for a share.
    """

    figure: Figure
    reference: float
    value: float
    change: Interval

    @property
    def told(self) -> int:
        """1 if the run is better beyond its interval, -1 if worse, 0 if that is open."""
        neutral, interval = 0.0 if self.figure.share else 1.0, self.change
        if (
            interval.low is None
            or interval.high is None
            or interval.low <= neutral <= interval.high
        ):
            return 0
        return self.figure.better * (1 if interval.low > neutral else -1)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run beside the reference.

    Parameters
    ----------
    run
        The run.
    pairing
        Whether replications are compared one by one.
    settings
        What was set otherwise, by dotted path: in the reference and in the run.
    changes
        By arm.
    same
        Arms that are the same to the last digit.
    other_versions
        Whether another moesim, or other libraries, made it.
    """

    run: StoredRun
    pairing: Pairing
    settings: dict[str, tuple[Any, Any]]
    changes: dict[str, list[Change]]
    same: tuple[str, ...]
    other_versions: bool


def compare(runs: Sequence[StoredRun]) -> list[Compared]:
    """Compare runs with the first of them.

    Raises
    ------
    DataError
        If a run has no figure in common with the first.
    """
    reference, *others = runs
    return [_compare(reference, run) for run in others]


def _compare(reference: StoredRun, run: StoredRun) -> Compared:
    pairing = pair(reference, run)
    changes = {arm: _changes(reference, run, arm, pairing) for arm in ARMS}
    if not any(changes.values()):
        raise DataError(
            f"{str(run.folder)!r} and {str(reference.folder)!r} have no figure in common: in one "
            "of them no request finished."
        )
    same = tuple(
        arm
        for arm, found in changes.items()
        if pairing.paired and found and all(one.reference == one.value for one in found)
    )
    return Compared(
        run,
        pairing,
        changed_settings(reference, run),
        changes,
        same,
        json.loads(reference.versions) != json.loads(run.versions),
    )


def changed_settings(first: StoredRun, second: StoredRun) -> dict[str, tuple[Any, Any]]:
    """Return what was set otherwise, by dotted path; None stands for what one lacks."""
    names = {**first.settings, **second.settings}
    values = {name: (first.settings.get(name), second.settings.get(name)) for name in names}
    return {name: both for name, both in values.items() if both[0] != both[1]}


def _changes(reference: StoredRun, run: StoredRun, arm: str, pairing: Pairing) -> list[Change]:
    sides = [one.of(arm) for one in (reference, run)]
    if pairing.paired:
        sides = [{number: side[number] for number in pairing.replications} for side in sides]
    lists = [list(side.values()) for side in sides]
    found = []
    for figure in figures(lists):
        before, after = ([figure.get(one) for one in side] for side in lists)
        change = _interval(figure, before, after, paired=pairing.paired)
        if change is not None:
            found.append(Change(figure, _mean(before), _mean(after), change))
    return found


def _interval(figure: Figure, before: Values, after: Values, *, paired: bool) -> Interval | None:
    if figure.share:
        return (paired_difference if paired else welch_difference)(before, after)
    return (paired_ratio if paired else welch_ratio)(after, before)


def _mean(values: Values) -> float:
    return mean_interval([value for value in values if value is not None]).value
