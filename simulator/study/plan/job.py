"""Jobs of a plan: small, pure functions of a configuration that run in any worker process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.config import Config, RunConfig
from simulator.mapping import from_mapping
from simulator.scenario import Scenario, build
from simulator.study.paired import Run, run_arm, trace_metadata
from simulator.study.plan.objectives import objectives_of
from simulator.study.plan.outcome import Outcome, outcome_of
from simulator.study.plan.screening import screen
from simulator.study.sweep.points import content_hash
from simulator.trace.json_file import Json
from simulator.trace.merge import merge
from simulator.trace.metrics import measure
from simulator.trace.schema import ARMS

KEPT_SCENARIOS = 12
"""Deployments whose step times a worker keeps: some 10 MB each."""

SPECULATIVE = ARMS[1]
"""The arm that runs at the draft length of the configuration, 0 included."""


@dataclass(frozen=True, slots=True)
class Job:
    """One simulation, or one screening, by its whole configuration.

    Parameters
    ----------
    config
        What runs; of its replications only the one named.
    replication
        Which; None screens the deployment instead (`screening.screen`).
    """

    config: Config
    replication: int | None

    @property
    def key(self) -> str:
        """What identifies the result: a digest of the content, and what is done with it."""
        done = "screening" if self.replication is None else f"{self.replication:04d}"
        return f"{content_hash(self.config)}-{done}"


def run_job(job: Job) -> Json:
    """Run a job in this process; equal jobs give equal results, wherever they run."""
    if job.replication is None:
        return screen(job.config).to_json()
    return simulate(job.config, job.replication).to_json()


def simulate(config: Config, replication: int) -> Outcome:
    """Simulate one replication and measure it from its trace, as any other run is."""
    scenario = _kept(json.dumps(asdict(_unit(config)))).under(config)
    run = Run(SPECULATIVE, replication)
    with TemporaryDirectory(prefix="moesim-") as folder:
        requests, iterations = (
            Path(folder) / f"{name}.parquet" for name in ("requests", "iterations")
        )
        run_arm(scenario, run, (requests, iterations))
        for table in (requests, iterations):
            merge([run.part(table)], table, trace_metadata(config))
        (metrics,) = measure(requests, iterations, config.run.warmup_fraction).values()
    return outcome_of(metrics, len(objectives_of(config)))


def _unit(config: Config) -> Config:
    """Return a configuration with the same step times whatever the load and the replicas."""
    pools = tuple(replace(pool, replicas=1) for pool in config.cluster.pools)
    return replace(
        config,
        hardware=replace(config.hardware, replicas=1),
        cluster=replace(config.cluster, pools=pools),
        workload=replace(config.workload, rate=1.0),
        run=RunConfig(seed=config.run.seed),
    )


@lru_cache(maxsize=KEPT_SCENARIOS)
def _kept(settings: str) -> Scenario:
    """Build a scenario once per worker; dataclasses that hold lists are no keys, JSON is."""
    return build(from_mapping(Config, json.loads(settings), ""))
