"""From the tables of a run to its timeline, in one pass over each after one that counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.trace.perfetto.devices import (
    ShownSteps,
    device_events,
    loaded_steps,
    step_time_events,
)
from simulator.trace.perfetto.document import Document
from simulator.trace.perfetto.links import (
    EVENT_COLUMNS,
    LINK_COLUMNS,
    change_events,
    link_counts,
    link_events,
)
from simulator.trace.perfetto.places import Places
from simulator.trace.perfetto.requests import REQUEST_COLUMNS, request_counts, request_events
from simulator.trace.perfetto.steps import STEP_COLUMNS, StepParts, StepWriter, step_counts
from simulator.trace.perfetto.window import Counts, Floats, TimeWindow, cut
from simulator.trace.read import Columns, Run, chunks

_BATCH = 1024
"""Events that are written at once."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a run is to be shown.

    Parameters
    ----------
    runs
        Arms and replications.
    from_s, to_s
        The stretch of time, s; an end of None is that of the run.
    max_events
        The most events, names of tracks aside; the timeline ends at the moment where they would be
        exceeded.
    """

    runs: tuple[Run, ...]
    from_s: float
    to_s: float | None
    max_events: int


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    path, events, size_bytes
        The file.
    window
        The stretch that it holds.
    end_s
        When the last of its runs ended, s.
    cut
        Whether more was asked for than it holds.
    """

    path: Path
    events: int
    size_bytes: int
    window: TimeWindow
    end_s: float
    cut: bool

    @property
    def ended_s(self) -> float:
        """Where the timeline ends, s of simulated time."""
        return min(self.window.to_s, self.end_s)


def export(
    tables: Mapping[str, Path], shown: Shown, path: Path, parts: StepParts | None
) -> Exported:
    """Write a timeline.

    Memory grows with the steps that are shown, not with the run.

    Parameters
    ----------
    tables
        Files of the run by the name of their table; requests and iterations at least.
    shown
        What is to be shown.
    path
        The file to make.
    parts
        Takes steps apart; None leaves them whole.

    Raises
    ------
    DataError
        If a file is not a whole trace of its table.
    ConfigError
        If there is no such run, nothing happens in the window, too much at once, or the file cannot
        be written.
    """
    end_s = _end_s(tables["requests"], shown)
    last_s = np.nextafter(end_s, np.inf) if shown.to_s is None else shown.to_s
    if shown.from_s >= min(end_s, last_s):
        raise ConfigError(
            f"nothing is left to show from from_s={shown.from_s:g} on: the run ends at {end_s:g} s."
        )
    wanted = TimeWindow(shown.from_s, float(last_s))
    counter = _Counter(tables, shown.runs, parts is not None)
    window = cut(wanted, counter, shown.max_events)
    places = Places()
    with Document(path) as document:
        for run in shown.runs:
            events = _events(tables, run, window, places, parts)
            while batch := list(islice(events, _BATCH)):
                document.add(places.names())  # before what they name
                document.add(batch)
    return Exported(path, document.events, path.stat().st_size, window, end_s, window != wanted)


def _end_s(requests: Path, shown: Shown) -> float:
    """Return when the last request left."""
    ends_s: dict[Run, float] = {}
    for run, rows in chunks(requests, "requests", ("left_s",)):
        ends_s[run] = max(ends_s.get(run, 0.0), float(rows["left_s"].max()))
    for run in shown.runs:
        if run not in ends_s:
            there = ", ".join(f"{one.arm} {one.replication}" for one in sorted(ends_s))
            raise ConfigError(f"there is no {run.arm} {run.replication}, but {there or 'nothing'}.")
    return max(ends_s[run] for run in shown.runs)


class _Counter:
    """Goes through what a timeline would hold, counting events."""

    def __init__(self, tables: Mapping[str, Path], runs: tuple[Run, ...], parts: bool) -> None:
        self._tables, self._runs, self._parts = tables, runs, parts
        loads = tables.get("expert_loads")
        self._loaded = loaded_steps(loads) if loads else {}

    def __call__(self) -> Counts:
        """Yield starts, ends and counts of rows."""
        for _, rows in self._rows("requests", REQUEST_COLUMNS):
            yield rows["arrival_s"], rows["left_s"], request_counts(rows)
        for run, rows in self._rows("iterations", STEP_COLUMNS):
            counts = step_counts(rows, self._parts) + self._beside(run, rows)
            yield rows["start_s"], rows["start_s"] + rows["duration_s"], counts
        if "events" in self._tables:
            for _, rows in self._rows("events", EVENT_COLUMNS):
                yield rows["time_s"], rows["time_s"], np.ones(len(rows["time_s"]))
        if "links" in self._tables:
            for _, rows in self._rows("links", LINK_COLUMNS):
                yield rows["start_s"], rows["start_s"] + rows["duration_s"], link_counts(rows)

    def _beside(self, run: Run, rows: Columns) -> Floats:
        """Return the events of other tables that stand where a step does."""
        counts = np.full(len(rows["start_s"]), float("step_times" in self._tables))
        for replica in np.unique(rows["replica"]).tolist() if self._loaded else ():
            ranks = self._loaded.get((run, replica), {})
            own = np.flatnonzero(rows["replica"] == replica)
            counts[own] += [ranks.get(number, 0) for number in rows["iteration"][own].tolist()]
        return counts

    def _rows(self, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Run, Columns]]:
        found = chunks(self._tables[table], table, columns)
        return ((run, rows) for run, rows in found if run in self._runs)


def _events(
    tables: Mapping[str, Path],
    run: Run,
    window: TimeWindow,
    places: Places,
    parts: StepParts | None,
) -> Iterator[str]:
    """Yield the events of one run, table by table."""
    steps, shown = StepWriter(run, window, places, parts), ShownSteps(window)
    for own, rows in chunks(tables["iterations"], "iterations", STEP_COLUMNS):
        if own == run:
            yield from steps.events(rows)
            shown.add(run, rows)
    yield from steps.close()
    for own, rows in chunks(tables["requests"], "requests", REQUEST_COLUMNS):
        if own == run:
            yield from request_events(run, rows, window, places)
    if "events" in tables:
        yield from change_events(tables["events"], run, window, places)
    if "links" in tables:
        yield from link_events(tables["links"], run, window, places)
    if "expert_loads" in tables:
        yield from device_events(tables["expert_loads"], run, shown, places)
    if "step_times" in tables:
        yield from step_time_events(tables["step_times"], run, shown, places)
