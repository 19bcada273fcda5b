"""Paired runs: with and without speculation on the same arrivals and draws, several times over."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.config import Config
from simulator.errors import InvariantError
from simulator.scenario import Scenario, build
from simulator.serving.cluster import Cluster
from simulator.serving.step_followers import DispatchTraces
from simulator.streams import Streams
from simulator.study.workers import in_processes
from simulator.trace.merge import merge
from simulator.trace.parts import SUFFIX
from simulator.trace.recover import PARTS, recovered_path
from simulator.trace.schema import ARMS, TABLES, versions
from simulator.trace.writer import TraceWriter
from simulator.workload.mix import traffic_classes

Tables = tuple[Path, ...]
"""The files of a trace, each named after its table: requests, iterations, and more if asked."""


@dataclass(frozen=True, slots=True)
class Run:
    """One arm of one replication."""

    arm: str
    replication: int

    def part(self, table: Path) -> Path:
        """Return the file this run writes its share of a table to."""
        return table.parent / PARTS / f"{table.stem}-{self.arm}-{self.replication:04d}{SUFFIX}"


def simulate(
    scenario: Scenario,
    requests: Path,
    iterations: Path,
    advance: Callable[[int], None],
    events: Path | None = None,
    dispatch: Sequence[Path] = (),
) -> None:
    """Run both arms of every replication and write the trace.

    Its columns do not depend on the number of worker processes.

    Parameters
    ----------
    scenario
        What to run.
    requests, iterations
        The two files to write, in one folder.
    advance
        Called with 1 after every run of one arm (`run_count` of them), for a progress bar.
    events
        Another file, for what changes the cluster; only where something can.
    dispatch
        Further files, as `dispatch_tables` names them.
    """
    tables: Tables = (requests, iterations, *((events,) if events else ()), *dispatch)
    config = scenario.config
    runs = [Run(arm, number) for number in range(config.run.replications) for arm in ARMS]
    workers = min(config.run.workers or os.cpu_count() or 1, len(runs))
    parts = runs[0].part(requests).parent
    shutil.rmtree(parts, ignore_errors=True)  # of a run into this folder that was cut short
    for table in tables:
        recovered_path(table.parent, table.stem).unlink(missing_ok=True)
    for _ in _execute(scenario, runs, tables, workers):
        advance(1)
    metadata = trace_metadata(config)
    for table in tables:
        merge([run.part(table) for run in runs], table, metadata)
    parts.rmdir()


def dispatch_tables(config: Config) -> tuple[str, ...]:
    """Name the tables that runs leave besides, where loads of experts are drawn.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> dispatch_tables(compose(["experts.fidelity=sampled"]))
    ('expert_loads', 'step_times')
    """
    drawn = ("expert_loads", "step_times") if config.experts.drawn else ()
    return (*drawn, "links") if config.experts.events else drawn


def run_count(config: Config) -> int:
    """Return how many arms `simulate` runs in all."""
    return config.run.replications * len(ARMS)


def trace_metadata(config: Config) -> Mapping[str, str]:
    """Return what a trace file says of its run: resolved config, seed, versions."""
    resolved = asdict(config)
    # Whoever reads the trace has no presets: it is told the classes of a mix.
    resolved["workload"]["traffic_classes"] = list(map(asdict, traffic_classes(config.workload)))
    return {
        "config": json.dumps(resolved, sort_keys=True),
        "seed": str(config.run.seed),
        "versions": json.dumps(versions(), sort_keys=True),
    }


def run_arm(scenario: Scenario, run: Run, tables: Tables) -> int:
    """Run one arm of one replication; return the SimPy events it took."""
    config = scenario.config
    metadata, constants = trace_metadata(config), asdict(run)
    gamma = config.speculation.gamma if run.arm == "speculative" else 0
    plan = scenario.cluster(gamma)
    names = {"link": plan.link_names}
    with ExitStack() as stack:
        traces = {
            table.stem: stack.enter_context(
                TraceWriter(run.part(table), TABLES[table.stem], metadata, constants, names)
            )
            for table in tables
        }
        return Cluster(
            plan,
            scenario.router(),
            scenario.workload,
            scenario.acceptance,
            Streams(config.run.seed, run.replication),
            requests_trace=traces["requests"],
            iterations_trace=traces["iterations"],
            events_trace=traces.get("events"),
            dispatch_traces=DispatchTraces(*map(traces.get, DispatchTraces._fields)),
        ).run()


def _execute(scenario: Scenario, runs: list[Run], tables: Tables, workers: int) -> Iterator[int]:
    """Execute the runs, in this process or in several; yield after each, in order."""
    if workers == 1:
        for run in runs:
            yield run_arm(scenario, run, tables)
        return
    jobs = [(run, tables) for run in runs]
    yield from in_processes(_run_in_worker, jobs, workers, _start_worker, (scenario.config,))


_scenario: Scenario | None = None


def _start_worker(config: Config) -> None:
    """Build the scenario once per worker process."""
    global _scenario  # noqa: PLW0603 - a worker process has one scenario for its whole life
    _scenario = build(config)


def _run_in_worker(job: tuple[Run, Tables]) -> int:
    if _scenario is None:
        raise InvariantError("a worker process was started without a scenario.")
    return run_arm(_scenario, *job)
