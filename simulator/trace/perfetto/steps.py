"""Steps of a replica as slices with their parts, and its queue, batch and KV cache as counters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from simulator.trace.perfetto.document import whole_ns
from simulator.trace.perfetto.events import counter_event, slice_event
from simulator.trace.perfetto.places import STEPS, Places
from simulator.trace.perfetto.window import Floats, TimeWindow
from simulator.trace.read import Columns, Run

StepParts = Callable[[Columns], Mapping[str, Floats]]
"""Takes steps apart: seconds of each part, of shape ``[rows]``, parts in the order in which they
follow each other."""


class Step(NamedTuple):
    """A row of the table of iterations."""

    replica: int
    iteration: int
    start_s: float
    duration_s: float
    decode_requests: int
    query_tokens: int
    prefill_tokens: int
    emitted_tokens: int
    context_tokens: int
    waiting_requests: int
    active_experts: float
    kv_usage: float


STEP_COLUMNS = Step._fields
"""Columns of the table of iterations that are needed."""

_TOLD = (
    "iteration",
    "decode_requests",
    "query_tokens",
    "prefill_tokens",
    "emitted_tokens",
    "context_tokens",
    "active_experts",
)
"""What is told of a slice."""


def step_counts(rows: Columns, parts: bool) -> Floats:
    """Return how many events steps make at most, of shape ``[rows]``.

    Each has itself, two counters, the same two again where the replica pauses, and its parts.
    """
    decode = np.where(rows["query_tokens"] > 1, 3, 1) * (rows["decode_requests"] > 0)
    pieces = decode + (rows["prefill_tokens"] > 0)
    counts: Floats = 5.0 + pieces * (parts & (pieces > 1))
    return counts


class StepWriter:
    """Makes the events of the steps of one run.

    Parameters
    ----------
    run, window, places
        Which run, the stretch of it that is shown, and where.
    parts
        Takes steps apart; None leaves them whole.
    """

    def __init__(
        self, run: Run, window: TimeWindow, places: Places, parts: StepParts | None
    ) -> None:
        self._run, self._window, self._places, self._parts = run, window, places, parts
        self._ended_ns: dict[int, int] = {}
        self._level: dict[tuple[int, str], str] = {}

    def events(self, rows: Columns) -> Iterator[str]:
        """Yield the events of some steps, those of a replica in order of time."""
        kept = self._window.overlaps(rows["start_s"], rows["start_s"] + rows["duration_s"])
        rows = {name: values[kept] for name, values in rows.items()}
        parts = self._parts(rows) if self._parts is not None and kept.any() else {}
        seconds = zip(*(part.tolist() for part in parts.values()), strict=True)
        steps = zip(*(rows[name].tolist() for name in STEP_COLUMNS), strict=True)
        for values in steps:
            step = Step(*values)
            yield from self._step(step, dict(zip(parts, next(seconds, ()), strict=False)))

    def close(self) -> Iterator[str]:
        """Yield what ends the counters."""
        for replica, ended_ns in self._ended_ns.items():
            pid = self._places.pid(self._run, replica)
            yield from self._levels(pid, ended_ns, 0, 0, 0.0)

    def _step(self, step: Step, parts: Mapping[str, float]) -> Iterator[str]:
        end_s = min(step.start_s + step.duration_s, self._window.to_s)
        before_ns = self._ended_ns.get(step.replica)
        start_ns = max(whole_ns(max(step.start_s, self._window.from_s)), before_ns or 0)
        end_ns = max(start_ns, whole_ns(end_s))
        pid = self._places.pid(self._run, step.replica)
        if before_ns is not None and start_ns > before_ns + 1:  # a pause, not rounding
            yield from self._levels(pid, before_ns, 0, 0, 0.0)
        levels = step.decode_requests, step.waiting_requests, step.kv_usage
        yield from self._levels(pid, start_ns, *levels)
        tid = self._places.thread(pid, STEPS, "steps")
        told = ",".join(f'"{name}":{_short(getattr(step, name))}' for name in _TOLD)
        yield slice_event(pid, tid, kind_of(step), start_ns, end_ns, told)
        shown = {name: seconds for name, seconds in parts.items() if seconds > 0.0}
        if len(shown) > 1:
            edges_ns = self._edges_ns(step, list(shown.values()), start_ns, end_ns)
            for name, left_ns, right_ns in zip(shown, edges_ns, edges_ns[1:], strict=False):
                if right_ns > left_ns:
                    yield slice_event(pid, tid, name, left_ns, right_ns)
        self._ended_ns[step.replica] = end_ns

    def _levels(
        self, pid: int, time_ns: int, decoding: int, waiting: int, kv_usage: float
    ) -> Iterator[str]:
        """Yield the counters that change."""
        levels = {
            "requests": f'"decoding":{decoding},"waiting":{waiting}',
            "KV blocks taken": f'"percent":{100 * kv_usage:.2f}',
        }
        for name, values in levels.items():
            if self._level.get((pid, name)) != values:
                self._level[pid, name] = values
                yield counter_event(pid, name, time_ns, values)

    def _edges_ns(
        self, step: Step, seconds: Sequence[float], start_ns: int, end_ns: int
    ) -> list[int]:
        """Return where parts begin and end, within the slice of their step."""
        edges_s = accumulate(seconds[:-1], initial=step.start_s)
        inner = [min(max(whole_ns(edge_s), start_ns), end_ns) for edge_s in edges_s]
        return [start_ns, *inner[1:], end_ns]


def kind_of(step: Step) -> str:
    """Say what a step does, in a word or two."""
    decode = ("round" if step.query_tokens > 1 else "decode") if step.decode_requests else ""
    return " + ".join(filter(None, [decode, "prefill" if step.prefill_tokens else ""])) or "step"


def _short(value: float) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
