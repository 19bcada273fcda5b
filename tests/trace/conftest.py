"""Synthetic traces: hand-written rows, and a small queueing system to measure."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.trace_rows import Row, iteration_row, request_row

from simulator.trace.merge import merge
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.writer import TraceWriter

Rows = list[Row]
Runs = Mapping[tuple[str, int], Rows]
WriteTrace = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write_trace(tmp_path: Path) -> WriteTrace:
    """Write rows by (arm, replication) through writer and merge, as a paired run does."""

    def write(
        requests: Runs, iterations: Runs, config: Mapping[str, Any] | None = None
    ) -> tuple[Path, Path]:
        paths, notes = [], {"seed": "1", "config": json.dumps(config or {})}
        for name, schema, runs in (
            ("requests", REQUESTS, requests),
            ("iterations", ITERATIONS, iterations),
        ):
            parts = []
            for (arm, replication), rows in runs.items():
                part = tmp_path / "parts" / f"{name}-{arm}-{replication}.parquet"
                constants = {"arm": arm, "replication": replication}
                with TraceWriter(part, schema, notes, constants) as writer:
                    writer.rows.extend(rows)
                parts.append(part)
            paths.append(merge(parts, tmp_path / f"{name}.parquet", notes))
        return paths[0], paths[1]

    return write


@pytest.fixture(name="request_row")
def _request_row() -> Callable[..., Row]:
    """Make one row of the table of requests from the figures that matter to a test."""
    return request_row


@pytest.fixture(name="iteration_row")
def _iteration_row() -> Callable[..., Row]:
    """Make one row of the table of iterations from the figures that matter to a test."""
    return iteration_row


@pytest.fixture
def queue_run() -> Callable[..., tuple[Rows, Rows]]:
    """Run a batch server: `slots` requests in service, each taking an exponential time."""

    def run(
        load: float, requests: int, seed: int, *, slots: int = 8, service_s: float = 1.0
    ) -> tuple[Rows, Rows]:
        rng = np.random.default_rng([seed, 17])
        gaps_s = rng.exponential(service_s / (slots * load), requests)
        arrivals_s = np.cumsum(gaps_s)
        services_s = rng.exponential(service_s, requests)
        free_s = [0.0] * slots
        spans: list[tuple[float, float, float]] = []
        for arrival_s, length_s in zip(arrivals_s.tolist(), services_s.tolist(), strict=True):
            start_s = max(arrival_s, heapq.heappop(free_s))
            heapq.heappush(free_s, start_s + length_s)
            spans.append((arrival_s, start_s, start_s + length_s))
        rows = [
            request_row(index, arrival, 0.9 * start + 0.1 * end, end, 11, 10, admitted_s=start)
            for index, (arrival, start, end) in enumerate(spans)
        ]
        return rows, list(_iterations(np.array(spans)))

    return run


def _iterations(spans: np.ndarray[Any, Any]) -> Iterable[Row]:
    """Sample the server ten times per mean service, as iterations would."""
    times_s = np.arange(0.0, spans[:, 2].max(), 0.1)
    arrived, started, ended = (
        np.searchsorted(np.sort(column), times_s, "right") for column in spans.T
    )
    for index, time_s in enumerate(times_s.tolist()):
        batch, waiting = started[index] - ended[index], arrived[index] - started[index]
        if batch:
            yield iteration_row(index, time_s, 0.1, int(batch), int(batch), waiting=int(waiting))
