"""The comparison of runs in the terminal, and its figures."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from simulator.report.figures import ABSENT, fine_percent, number, seconds
from simulator.report.tables import frame, say, show
from simulator.study.compare.compare import Change, Compared
from simulator.study.compare.runs import StoredRun
from simulator.trace.json_file import Json
from simulator.trace.schema import ARMS

_ARMS = dict(zip(ARMS, ("speculation off", "speculation on"), strict=True))

_MOST_SETTINGS, _LONGEST = 12, 28
"""Settings that are shown of those that differ, and characters of a value."""

_HEADLINES = ("ttft_p50", "tpot_p50", "e2e_p50", "output_tokens_per_s", "goodput_per_s")
"""Figures that a verdict speaks of."""

_STYLES = {1: "green", -1: "red", 0: ""}


def summary(reference: StoredRun, found: Sequence[Compared]) -> Json:
    """Return the figures of a comparison for ``summary.json``; runs are numbered from 1."""
    metrics = {
        f"run{position}.{arm}.{change.figure.name}.{key}": value
        for position, one in enumerate(found, 1)
        for arm, changes in one.changes.items()
        for change in changes
        for key, value in {
            "reference": change.reference,
            "value": change.value,
            "difference" if change.figure.share else "ratio": change.change.value,
            "low": change.change.low,
            "high": change.change.high,
        }.items()
    }
    return {
        "metrics": metrics,
        "reference": str(reference.folder),
        "runs": [
            {
                "run": str(one.run.folder),
                "paired": one.pairing.paired,
                "pairing": asdict(one.pairing),
                "same_arms": one.same,
                "other_versions": one.other_versions,
                "settings": {
                    name: {"reference": before, "run": after}
                    for name, (before, after) in one.settings.items()
                },
            }
            for one in found
        ],
    }


def print_comparison(reference: StoredRun, found: Sequence[Compared], console: Console) -> None:
    """Print what changed, run by run."""
    console.print(f"reference: {reference.folder}", soft_wrap=True, markup=False)
    for position, one in enumerate(found, 1):
        console.print(f"run {position}: {one.run.folder}\n", soft_wrap=True, markup=False)
        _print_settings(one, console)
        for arm, changes in one.changes.items():
            if arm in one.same:
                say(console, f"With {_ARMS[arm]} the two are the same, to the last digit.")
            elif changes:
                _print_changes(position, _ARMS[arm], changes, console)
        say(console, *_notes(one))
        console.print(Text(verdict(position, one), style="bold"))
        console.print()
    console.print(Text(f"Next: {_next(found)}"), soft_wrap=True)


def verdict(position: int, one: Compared) -> str:
    """Say where a run is better, and where worse, arm by arm; one sentence each."""
    if len(one.same) == len(ARMS):
        return f"Run {position} and the reference have the same figures."
    sentences = []
    for arm, changes in one.changes.items():
        told = [change for change in changes if change.told and change.figure.name in _HEADLINES]
        parts = []
        for sign, word in ((1, "better"), (-1, "worse")):
            names = [
                f"{_name(change)} ({_shown(change)})" for change in told if change.told == sign
            ]
            if names:
                parts.append(f"{word} in {', '.join(names)}")
        if parts:
            sentences.append(f"With {_ARMS[arm]} run {position} is {'; '.join(parts)}.")
    if not sentences:
        return f"Run {position} cannot be told apart from the reference in any headline figure."
    return " ".join(sentences)


def _print_settings(one: Compared, console: Console) -> None:
    if not one.settings:
        say(console, "No setting differs.")
        return
    table = frame("setting", "reference", "run", unbroken=1)
    for name, both in islice(one.settings.items(), _MOST_SETTINGS):
        table.add_row(name, *map(_value, both))
    show(console, "Settings that differ", table)
    more = len(one.settings) - _MOST_SETTINGS
    if more > 0:
        say(console, f"and {more} more, in summary.json.")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _print_changes(position: int, arm: str, changes: Sequence[Change], console: Console) -> None:
    table = frame("", "reference>", f"run {position}>", "change>", "95 % interval>", unbroken=5)
    for one in changes:
        values = (_figure(one, value) for value in (one.reference, one.value))
        interval = Text(_bounds(one), style=_STYLES[one.told])
        table.add_row(_label(one), *values, _shown(one), interval)
    show(console, arm.capitalize(), table)


def _name(change: Change) -> str:
    """Return a label without its unit."""
    return _label(change).partition(",")[0]


def _label(change: Change) -> str:
    """Return how a figure is called.

    Examples
    --------
    >>> from simulator.study.compare.figures import Figure
    >>> from simulator.trace.statistics import Interval
    >>> get, interval = (lambda run: 1.0), Interval(1.1, None, None)
    >>> _label(Change(Figure("tpot_p50", "s", get, -1), 1.0, 1.1, interval))
    'TPOT p50'
    """
    name, _, quantile = change.figure.name.partition("_p")
    if quantile.isdigit():
        return f"{name.upper()} p{quantile}"
    return {
        "output_tokens_per_s": "output tokens/s",
        "goodput_per_s": "goodput, requests/s",
        "acceptance_length": "acceptance length",
    }.get(change.figure.name, change.figure.name)


def _figure(change: Change, value: float) -> str:
    if change.figure.share:
        return fine_percent(value)
    return seconds(value) if change.figure.unit == "s" else number(value)


def _relative(change: Change, value: float) -> str:
    """Write a change: percent of the reference, or points of a share."""
    if change.figure.share:
        return f"{100 * value:+.1f} pt"
    return f"{100 * (value - 1):+.1f} %"


def _shown(change: Change) -> str:
    return _relative(change, change.change.value)


def _bounds(change: Change) -> str:
    low, high = change.change.low, change.change.high
    if low is None or high is None:
        return ABSENT
    return f"{_relative(change, low).rpartition(' ')[0]} to {_relative(change, high)}"


def _notes(one: Compared) -> list[str]:
    """Say how far the intervals can be trusted."""
    pairing, notes = one.pairing, []
    if pairing.paired:
        count = len(pairing.replications)
        notes.append(f"Paired in {count} replications: {pairing.reason}.")
        if count == 1:
            notes.append("One replication has no interval: run both with run.replications=5.")
    else:
        notes.append(
            f"Not paired: {pairing.reason}. Intervals are Welch's for independent runs, wider, and "
            "the change is of the requests as well."
        )
    if one.other_versions:
        notes.append("Another version of moesim or of a library made the one: run both again.")
    return notes


def _next(found: Sequence[Compared]) -> str:
    """Return the command that follows: paired runs are looked at, others run again alike."""
    last = found[-1]
    seed = last.settings.get("run.seed")
    if not last.pairing.paired and seed is not None:
        return f"moesim simulate run.seed={seed[0]} ..., with the settings of run {len(found)}"
    return f"moesim export {shlex.quote(str(last.run.folder))} --perfetto"
