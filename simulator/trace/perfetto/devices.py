"""What drawn loads of experts make of steps: slices per rank, and how steps came to be longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.perfetto.document import whole_ns
from simulator.trace.perfetto.events import counter_event, slice_event
from simulator.trace.perfetto.places import FIRST_DEVICE, Places
from simulator.trace.perfetto.window import Floats, TimeWindow
from simulator.trace.read import Column, Columns, Run, chunks
from simulator.units import MS

_SUMS = ("tokens", "active_experts", "bytes_in", "bytes_out")
_TIMES = ("expected_s", "drawn_s", "duration_s", "held_up_s", "moving_s")

Loaded = tuple[int, int, Floats]
"""Replica, iteration, and what each rank got over all layers, of shape ``[ranks, sums]``."""


class ShownSteps:
    """Remembers when the steps were that are shown, for tables that know them by number.

    Memory grows with the steps that are shown, which are bounded, not with the run.
    """

    def __init__(self, window: TimeWindow) -> None:
        self._window = window
        self._found: dict[tuple[Run, int], list[Floats]] = {}

    def add(self, run: Run, rows: Columns) -> None:
        """Take some steps."""
        end_s = rows["start_s"] + rows["duration_s"]
        kept = self._window.overlaps(rows["start_s"], end_s)
        for replica in np.unique(rows["replica"][kept]).tolist():
            own = kept & (rows["replica"] == replica)
            times = (rows["iteration"][own], rows["start_s"][own], end_s[own])
            self._found.setdefault((run, replica), []).append(np.array(times))

    def bounds_ns(self, run: Run, replica: int) -> dict[int, tuple[int, int]]:
        """Return start and end of the steps of a replica that are shown, by iteration."""
        found = np.concatenate(self._found.get((run, replica), [np.zeros((3, 0))]), axis=1)
        clipped = self._window.clip(found[1:]).tolist()
        spans = zip(*([whole_ns(time_s) for time_s in times] for times in clipped), strict=True)
        return dict(zip(found[0].astype(np.int64).tolist(), spans, strict=True))


def loaded_steps(path: Path) -> dict[tuple[Run, int], dict[int, int]]:
    """Return how many ranks have loads in the table, by run and replica, by iteration."""
    found: dict[tuple[Run, int], dict[int, int]] = {}
    for run, rows in chunks(path, "expert_loads", ("replica", "iteration", "layer")):
        first = rows["layer"] == 0
        keys = np.stack([rows["replica"][first], rows["iteration"][first]])
        for (replica, iteration), ranks in zip(*_counted(keys), strict=True):
            steps = found.setdefault((run, replica), {})
            steps[iteration] = steps.get(iteration, 0) + ranks
    return found


def device_events(path: Path, run: Run, shown: ShownSteps, places: Places) -> Iterator[str]:
    """Yield a slice per rank for the steps whose loads are in the table.

    It spans the step. How long a rank computed in it is not in the trace; what it got is, and the
    rank that got most is named.
    """
    known: dict[int, dict[int, tuple[int, int]]] = {}
    for replica, iteration, sums in _loads(path, run):
        spans = known.setdefault(replica, shown.bounds_ns(run, replica))
        if iteration not in spans:
            continue
        pid, mean = places.pid(run, replica), max(float(sums[:, 0].mean()), 1e-9)
        busiest = int(sums[:, 0].argmax())
        for rank, values in enumerate(sums.tolist()):
            tid = places.thread(pid, FIRST_DEVICE + rank, f"rank {rank}")
            told = ",".join(f'"{name}":{x:.6g}' for name, x in zip(_SUMS, values, strict=True))
            told += f',"load_over_mean":{values[0] / mean:.4g},"iteration":{iteration}'
            name = "experts, most loaded" if rank == busiest else "experts"
            yield slice_event(pid, tid, name, *spans[iteration], told)


def step_time_events(path: Path, run: Run, shown: ShownSteps, places: Places) -> Iterator[str]:
    """Yield what steps with drawn loads took, and what they would have, as counters."""
    known: dict[int, dict[int, tuple[int, int]]] = {}
    for own, rows in chunks(path, "step_times", ("replica", "iteration", *_TIMES)):
        if own != run:
            continue
        times_ms = (np.stack([rows[name] for name in _TIMES], axis=1) / MS).tolist()
        steps = zip(rows["replica"].tolist(), rows["iteration"].tolist(), times_ms, strict=True)
        for replica, iteration, values in steps:
            spans = known.setdefault(replica, shown.bounds_ns(run, replica))
            if iteration in spans:
                told = ",".join(
                    f'"{name.removesuffix("_s")}_ms":{x:.6g}'
                    for name, x in zip(_TIMES, values, strict=True)
                )
                pid = places.pid(run, replica)
                yield counter_event(pid, "step time", spans[iteration][0], told)


def _loads(path: Path, run: Run) -> Iterator[Loaded]:
    """Yield steps with their loads; one may go on in the next chunk of the table."""
    waiting: Loaded | None = None
    columns = ("replica", "iteration", "rank", *_SUMS)
    for own, rows in chunks(path, "expert_loads", columns):
        if own != run:
            continue
        keys = np.stack([rows["replica"], rows["iteration"]])
        starts = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1) != 0, axis=0)).tolist()
        for left, right in zip(starts, [*starts[1:], keys.shape[1]], strict=True):
            rank = rows["rank"][left:right]
            sums = _sums(rank, {name: rows[name][left:right] for name in _SUMS})
            found = int(keys[0, left]), int(keys[1, left]), sums
            if waiting is not None and waiting[:2] == found[:2]:
                waiting = (*found[:2], _added(waiting[2], sums))
                continue
            if waiting is not None:
                yield waiting
            waiting = found
    if waiting is not None:
        yield waiting


def _sums(rank: Column, rows: Columns) -> Floats:
    """Return the sums of columns by rank, of shape ``[ranks, columns]``."""
    sums = np.stack([np.bincount(rank, values) for values in rows.values()], axis=1)
    return sums.astype(np.float64)


def _added(first: Floats, second: Floats) -> Floats:
    total = np.zeros((max(len(first), len(second)), len(_SUMS)))
    total[: len(first)] += first
    total[: len(second)] += second
    return total


def _counted(keys: Any) -> tuple[list[list[int]], list[int]]:
    """Return the distinct columns of keys, and how often each is there."""
    found, counts = np.unique(keys, axis=1, return_counts=True)
    return found.T.tolist(), counts.tolist()
