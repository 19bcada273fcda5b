"""The workload of the benchmarks: a closed loop of users on replicas, traced to Parquet.

It goes the way of ``moesim simulate``: the shipped chat scenario composed by Hydra, built, and one
arm of one replication run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from simulator.compose import compose
from simulator.config import Config
from simulator.errors import InvariantError
from simulator.scenario import Scenario
from simulator.study.paired import Run, run_arm, trace_metadata
from simulator.trace.merge import merge

USERS = 64


def full_batch(output_tokens: int, requests: int, *settings: str, replicas: int = 1) -> Config:
    """Compose chat with 64 users a replica, prompts of 128 tokens and draft length 3."""
    return compose(
        [
            "workload=fixed_batch",
            f"workload.concurrency={replicas * USERS}",
            f"hardware.replicas={replicas}",
            "workload.prompt_tokens=128",
            f"workload.output_tokens={output_tokens}",
            "speculation.gamma=3",
            f"run.requests={requests}",
            *settings,
        ]
    )


@dataclass(frozen=True, slots=True)
class Served:
    """What a run of one arm left: SimPy events, and its iterations as written."""

    events: int
    iterations: pq.ParquetFile

    @property
    def rows(self) -> int:
        return int(self.iterations.metadata.num_rows)


def serve(scenario: Scenario, arm: str, folder: Path) -> Served:
    """Run one arm; its trace goes to the folder."""
    run, tables = Run(arm, 0), (folder / "requests.parquet", folder / "iterations.parquet")
    events = run_arm(scenario, run, tables)
    metadata = trace_metadata(scenario.config)
    requests, iterations = (
        pq.ParquetFile(merge([run.part(table)], table, metadata)) for table in tables
    )
    if requests.metadata.num_rows != scenario.config.run.requests:
        raise InvariantError(
            f"{requests.metadata.num_rows} of {scenario.config.run.requests} requests are in the "
            "trace."
        )
    return Served(events, iterations)
