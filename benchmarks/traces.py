"""Recorded traces: rows parsed per CPU second, and a million of them through the simulator.

The files are made here: arrivals at 100 requests/s, prompts of about 100 tokens, two of output.
What is served is counted and dropped, so that memory is that of reading and simulating; `memory.py`
has the writing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from process import figures_of, peak_bytes

from simulator.compose import compose
from simulator.scenario import build
from simulator.serving.cluster import serve
from simulator.streams import Streams
from simulator.workload.readers import READERS, ReadPolicy

REQUESTS = 1_000_000
CHUNK_ROWS = 50_000
HASHES = 6
"""Requests of a file, rows of a chunk as it is written, and prefix hashes of a prompt."""


@dataclass(slots=True)
class Dropped:
    """Stands in for a table: counts its rows and drops them."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0

    def flush(self) -> None:
        """Count the rows and drop them."""
        self.count += len(self.rows)
        self.rows.clear()


def measure(*, requests: int = REQUESTS) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    requests
        Rows of the long trace; the short one has a tenth.

    Returns
    -------
    dict
        ``{format}_rows_per_cpu_s`` of ``azure``, ``csv`` and ``parquet`` with times and lengths,
        of ``csv_all`` and ``parquet_all`` with tenants, sessions and hashes too. Of the simulator
        fed from a ``csv`` file: ``short_peak_bytes`` and ``long_peak_bytes``, ``growth_ratio``,
        their ratio, and ``long_cpu_s``.
    """
    figures = {}
    with TemporaryDirectory() as folder:
        for name, path in write(Path(folder), requests):
            figures[f"{name}_rows_per_cpu_s"] = rows_per_cpu_s(path, name.partition("_")[0])
        path = Path(folder) / "csv.csv"
        short, long = (
            figures_of("traces.py", str(path), str(count)) for count in (requests // 10, requests)
        )
    return figures | {
        "short_peak_bytes": short["peak_bytes"],
        "long_peak_bytes": long["peak_bytes"],
        "growth_ratio": long["peak_bytes"] / short["peak_bytes"],
        "long_cpu_s": long["cpu_s"],
    }


def rows_per_cpu_s(path: Path, format_name: str) -> float:
    """Read a file once, every row checked, and return the rows per CPU second."""
    began, rows = process_time(), 0
    for block in READERS.get(format_name)(path, ReadPolicy()):
        rows += block.size
    return rows / (process_time() - began)


def write(folder: Path, rows: int) -> Iterator[tuple[str, Path]]:
    """Write a trace in each format, a chunk at a time; yield format and path of each."""
    for name in ("csv", "parquet"):
        for suffix, columns in (("", 3), ("_all", 6)):
            path = folder / f"{name}{suffix}.{name}"
            first = _table(0, 1, name).select(range(columns))
            kind = arrow_csv.CSVWriter if name == "csv" else pq.ParquetWriter
            with kind(path, first.schema) as file:
                for begin in range(0, rows, CHUNK_ROWS):
                    end = min(begin + CHUNK_ROWS, rows)
                    file.write_table(_table(begin, end, name).select(range(columns)))
            yield f"{name}{suffix}", path
    path = folder / "azure.csv"
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for row in range(rows):
            minute, second = divmod(row // 100, 60)
            time = f"2023-11-16 {minute // 60 % 24:02}:{minute % 60:02}:{second:02}.{row % 100:02}"
            file.write(f"{time},{50 + row % 101},2\n" if row < 8_640_000 else "")
    yield "azure", path


def _table(begin: int, end: int, format_name: str) -> pa.Table:
    number = np.arange(begin, end)
    hashes = (number[:, None] % 5000 * 16 + np.arange(HASHES)).tolist()
    lists: list[Any] = [" ".join(map(str, one)) for one in hashes]
    return pa.table(
        {
            "arrival_s": number / 100,
            "prompt_tokens": 96 + number % 11,
            "output_tokens": np.full(number.size, 2),
            "tenant": [f"tenant {n % 50}" for n in number.tolist()],
            "session": number // 4,
            "prefix_hashes": lists if format_name == "csv" else hashes,
        }
    )


def _serve(path: str, requests: int) -> dict[str, float]:
    """Replay a trace on four replicas without speculation."""
    config = compose(
        [
            "workload=trace",
            "workload.format=csv",
            f"workload.path={path}",
            "hardware.replicas=4",
            f"run.requests={requests}",
        ]
    )
    began = process_time()
    scenario = build(config)
    left, steps = Dropped(), Dropped()
    serve(
        scenario.deployment(0),
        scenario.router(),
        scenario.workload,
        scenario.acceptance,
        Streams(0),
        requests_trace=left,
        iterations_trace=steps,
    )
    left.flush()
    return {
        "cpu_s": process_time() - began,
        "peak_bytes": peak_bytes(),
        "requests": float(left.count),
    }


if __name__ == "__main__":
    print(json.dumps(_serve(sys.argv[1], int(sys.argv[2]))))
