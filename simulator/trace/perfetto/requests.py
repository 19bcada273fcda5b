"""Requests as slices that overlap: each with its time in the queue, its prefill and its decode."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simulator.trace.perfetto.document import whole_ns
from simulator.trace.perfetto.events import async_events
from simulator.trace.perfetto.places import Places
from simulator.trace.perfetto.window import Floats, TimeWindow
from simulator.trace.read import Columns, Run
from simulator.trace.schema import OUTCOMES


class _Request(NamedTuple):
    """A row of the table of requests."""

    request_id: int
    outcome: int
    replica: int
    prefill_replica: int
    traffic_class: int
    arrival_s: float
    admitted_s: float
    first_token_s: float
    left_s: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    rounds: int
    accepted_draft_tokens: int
    preemptions: int
    retries: int


REQUEST_COLUMNS = _Request._fields
"""Columns of the table of requests that are needed."""

_TOLD = (
    "request_id",
    "traffic_class",
    "prefill_replica",
    *REQUEST_COLUMNS[REQUEST_COLUMNS.index("prompt_tokens") :],
)

_EVENTS = 8
"""Beginning and end of a request and of its three phases."""


def request_counts(rows: Columns) -> Floats:
    """Return how many events requests make at most, of shape ``[rows]``."""
    return np.full(len(rows["arrival_s"]), float(_EVENTS))


def request_events(run: Run, rows: Columns, window: TimeWindow, places: Places) -> Iterator[str]:
    """Yield the events of requests, under the replica they were last at.

    Queued: from arrival to admission; prefill: to the first token; decode: until it left. A request
    that left before has the phases up to then.
    """
    kept = window.overlaps(rows["arrival_s"], rows["left_s"])
    for values in zip(*(rows[name][kept].tolist() for name in REQUEST_COLUMNS), strict=True):
        request = _Request(*values)
        pid = places.pid(run, request.replica)
        key = f"{run.arm}-{run.replication}-{request.request_id}"
        told = ",".join(f'"{name}":{getattr(request, name)}' for name in _TOLD)
        told += f',"outcome":"{OUTCOMES[request.outcome]}"'
        start_ns, end_ns = _clipped_ns(window, request.arrival_s, request.left_s)
        begin, end = async_events(pid, key, "request", start_ns, end_ns, told)
        yield begin
        for name, from_s, to_s in _phases(request):
            left_ns, right_ns = _clipped_ns(window, from_s, to_s)
            if right_ns > left_ns:
                yield from async_events(pid, key, name, left_ns, right_ns)
        yield end


def _phases(request: _Request) -> Iterator[tuple[str, float, float]]:
    """Yield the phases that a request had: name, start and end, s."""
    bounds = [request.arrival_s, request.admitted_s, request.first_token_s, request.left_s]
    for index, name in enumerate(("queued", "prefill", "decode")):
        start_s, end_s = bounds[index], bounds[index + 1]
        if math.isnan(start_s):
            return
        yield name, start_s, request.left_s if math.isnan(end_s) else end_s


def _clipped_ns(window: TimeWindow, start_s: float, end_s: float) -> tuple[int, int]:
    left_s, right_s = (min(max(time_s, window.from_s), window.to_s) for time_s in (start_s, end_s))
    return whole_ns(left_s), whole_ns(right_s)
