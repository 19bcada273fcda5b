"""Synthetic traces: hand-written rows, and a small queueing system to measure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.trace.merge import merge
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.writer import TraceWriter

Rows = list[tuple[Any, ...]]
Runs = Mapping[tuple[str, int], Rows]
WriteTrace = Callable[[Runs, Runs], tuple[Path, Path]]


@pytest.fixture
def write_trace(tmp_path: Path) -> WriteTrace:
    """Write rows by (arm, replication) through writer and merge, as a paired run does."""

    def write(requests: Runs, iterations: Runs) -> tuple[Path, Path]:
        paths = []
        for name, schema, runs in (
            ("requests", REQUESTS, requests),
            ("iterations", ITERATIONS, iterations),
        ):
            parts = []
            for (arm, replication), rows in runs.items():
                part = tmp_path / "parts" / f"{name}-{arm}-{replication}.parquet"
                constants = {"arm": arm, "replication": replication}
                with TraceWriter(part, schema, {"seed": "1"}, constants) as writer:
                    writer.rows.extend(rows)
                parts.append(part)
            paths.append(merge(parts, tmp_path / f"{name}.parquet", {"seed": "1"}))
        return paths[0], paths[1]

    return write


@pytest.fixture
def request_row() -> Callable[..., tuple[Any, ...]]:
    """Make one row of the table of requests from the figures that matter to a test."""

    def make(
        request_id: int,
        arrival_s: float,
        first_token_s: float = math.nan,
        finish_s: float = math.nan,
        output_tokens: int = 1,
        rounds: int = 0,
        accepted: int = 0,
        *,
        admitted_s: float | None = None,
        preemptions: int = 0,
    ) -> tuple[Any, ...]:
        if admitted_s is None:
            admitted_s = math.nan if math.isnan(finish_s) else arrival_s
        return (
            request_id,
            0,
            arrival_s,
            admitted_s,
            first_token_s,
            finish_s,
            10,
            output_tokens,
            rounds,
            accepted,
            preemptions,
            10 * preemptions,
        )

    return make


@pytest.fixture
def iteration_row() -> Callable[..., tuple[Any, ...]]:
    """Make one row of the table of iterations from the figures that matter to a test."""

    def make(
        index: int,
        start_s: float,
        duration_s: float,
        decode_requests: int,
        emitted_tokens: int,
        *,
        replica: int = 0,
        prefill_tokens: int = 0,
        waiting: int = 0,
        active_experts: float = 0.0,
        query_tokens: int = 1,
        kv_usage: float = 0.5,
    ) -> tuple[Any, ...]:
        return (
            replica,
            index,
            start_s,
            duration_s,
            decode_requests,
            query_tokens,
            prefill_tokens,
            emitted_tokens,
            100,
            waiting,
            active_experts,
            kv_usage,
        )

    return make


@pytest.fixture
def queue_run(
    request_row: Callable[..., tuple[Any, ...]], iteration_row: Callable[..., tuple[Any, ...]]
) -> Callable[..., tuple[Rows, Rows]]:
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
        return rows, list(_iterations(np.array(spans), iteration_row))

    return run


def _iterations(
    spans: np.ndarray[Any, Any], iteration_row: Callable[..., tuple[Any, ...]]
) -> Iterable[tuple[Any, ...]]:
    """Sample the server ten times per mean service, as iterations would."""
    times_s = np.arange(0.0, spans[:, 2].max(), 0.1)
    arrived, started, ended = (
        np.searchsorted(np.sort(column), times_s, "right") for column in spans.T
    )
    for index, time_s in enumerate(times_s.tolist()):
        batch, waiting = started[index] - ended[index], arrived[index] - started[index]
        if batch:
            yield iteration_row(index, time_s, 0.1, int(batch), int(batch), waiting=int(waiting))
