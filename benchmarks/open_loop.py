"""An open loop of requests on several replicas, with the requests trace on Parquet.

It goes the way of ``moesim simulate``: a scenario composed by Hydra and built, one arm of one
replication. The table of iterations is written as well, or only counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import InvariantError
from simulator.scenario import Scenario
from simulator.serving.cluster import serve
from simulator.serving.deployment import Deployment
from simulator.streams import Streams
from simulator.study.paired import trace_metadata
from simulator.trace.merge import merge
from simulator.trace.parts import SUFFIX
from simulator.trace.schema import ITERATIONS, REQUESTS, row_columns
from simulator.trace.writer import RowSink, TraceWriter

EMITTED = row_columns(ITERATIONS).index("emitted_tokens")


@dataclass(slots=True)
class Counted:
    """Stands in for the table of iterations: counts its rows and the tokens in them."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0
    emitted_tokens: int = 0

    def flush(self) -> None:
        """Count the rows and drop them."""
        self.count += len(self.rows)
        self.emitted_tokens += sum([row[EMITTED] for row in self.rows])
        self.rows.clear()


@dataclass(frozen=True, slots=True)
class Served:
    """What a run took and left: CPU seconds of the process, SimPy events, rows."""

    cpu_s: float
    events: int
    iterations: int
    requests: pa.Table


def run(scenario: Scenario, deployment: Deployment, *, iterations_trace: bool) -> Served:
    """Serve a workload once, from drawing the first request to closing the files.

    Parameters
    ----------
    scenario
        Workload, router, acceptance.
    deployment
        Who serves; `Scenario.deployment`, or one with other step times.
    iterations_trace
        Whether iterations are written, not only counted.

    Raises
    ------
    InvariantError
        If a request or a token is missing from what was written or counted.
    """
    with TemporaryDirectory() as folder:
        requests, iterations = (Path(folder) / f"{name}{SUFFIX}" for name in ("req", "iter"))
        metadata = trace_metadata(scenario.config)
        counted = Counted()
        began = process_time()
        with ExitStack() as files:
            written = files.enter_context(_writer(requests, REQUESTS, metadata))
            steps: RowSink = counted
            if iterations_trace:
                steps = files.enter_context(_writer(iterations, ITERATIONS, metadata))
            events = serve(
                deployment,
                scenario.router(),
                scenario.workload,
                scenario.acceptance,
                Streams(scenario.config.run.seed, 0),
                requests_trace=written,
                iterations_trace=steps,
            )
        parts = [requests, iterations] if iterations_trace else [requests]
        tables = [merge([part], part.with_suffix(".parquet"), metadata) for part in parts]
        cpu_s = process_time() - began
        table = pq.read_table(tables[0])
        if iterations_trace:
            emitted = pq.read_table(tables[1], columns=["emitted_tokens"])["emitted_tokens"]
            count, tokens = len(emitted), int(emitted.to_numpy().sum())
        else:
            counted.flush()
            count, tokens = counted.count, counted.emitted_tokens
    _check(table, scenario.workload.requests, tokens)
    return Served(cpu_s, events, count, table)


def mean_latencies_s(requests: pa.Table) -> tuple[float, float]:
    """Return the mean TTFT and the mean TPOT of requests as written, s."""
    names = ("arrival_s", "first_token_s", "finish_s", "output_tokens")
    arrival_s, first_s, finish_s, tokens = (requests[name].to_numpy() for name in names)
    several = tokens > 1
    tpot_s = (finish_s - first_s)[several] / (tokens[several] - 1)
    return float((first_s - arrival_s).mean()), float(tpot_s.mean())


def _writer(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> TraceWriter:
    return TraceWriter(path, schema, metadata, {"arm": "speculative", "replication": 0})


def _check(table: pa.Table, requests: int, iteration_tokens: int) -> None:
    """Refuse a trace that lacks a request, or whose two tables tell of different tokens."""
    numbers = np.sort(table["request_id"].to_numpy())
    if not np.array_equal(numbers, np.arange(requests)):
        raise InvariantError(f"the trace does not hold each of {requests} requests once.")
    tokens = int(table["emitted_tokens"].to_numpy().sum())
    if tokens != iteration_tokens:
        raise InvariantError(f"requests emitted {tokens} tokens, iterations {iteration_tokens}.")
