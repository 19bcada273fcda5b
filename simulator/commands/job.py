"""One point of ``moesim simulate``: run a composed scenario and show what came out."""

from __future__ import annotations

import shlex
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from simulator.commands.messages import CONFIG_ERRORS, explain, unusable
from simulator.commands.screen import screen
from simulator.compose import to_config
from simulator.errors import CapacityError, ConfigError
from simulator.report.plots import plot_latencies
from simulator.report.progress import progress
from simulator.report.terminal import print_summary
from simulator.report.timeline import plot_timeline
from simulator.scenario import Scenario, build
from simulator.serving.step_followers import DispatchTraces
from simulator.study.paired import dispatch_tables, run_count, simulate
from simulator.study.result import conclude


def run(composed: DictConfig, folder: Path, overrides: list[str]) -> None:
    """Run one composed scenario into a folder: trace, summary, pictures, and a table on screen.

    Parameters
    ----------
    composed
        What Hydra composed.
    folder
        Where the files go; it exists.
    overrides
        What the user asked for, so that the report can propose the next command.

    Raises
    ------
    SimulatorError
        If the scenario cannot run, or the machine cannot run it.
    """
    try:
        summary = _results(build(to_config(composed)), folder)
    except (*CONFIG_ERRORS, RecursionError) as error:
        raise ConfigError(explain(error)) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(unusable(error)) from error
    except (BrokenProcessPool, MemoryError) as error:
        raise CapacityError(
            "this machine ran out of memory, or a worker process was killed; lower run.workers, "
            "run.requests or the lengths of the workload."
        ) from error
    summary["scenario"]["overrides"] = [shlex.quote(override) for override in overrides]
    print_summary(summary, screen())


def _results(scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Simulate, draw and summarise."""
    settings = scenario.config.run
    files = {name: folder / f"{name}.parquet" for name in ("requests", "iterations")}
    events = folder / "events.parquet"
    if scenario.config.cluster.changes:
        files["events"] = events
    tables = {name: folder / f"{name}.parquet" for name in DispatchTraces._fields}
    dispatch = {name: tables[name] for name in dispatch_tables(scenario.config)}
    files |= dispatch
    files["summary"] = folder / "summary.json"
    pictures = {"picture": folder / "latencies.png", "timeline": folder / "timeline.png"}
    if settings.picture:
        files |= pictures
    for path in (*files.values(), events, *tables.values(), *pictures.values()):
        path.unlink(missing_ok=True)  # nothing stale beside new results
    with progress(run_count(scenario.config), "simulating") as bar:
        trace = files["requests"], files["iterations"]
        simulate(scenario, *trace, bar.advance, files.get("events"), tuple(dispatch.values()))
    if settings.picture:
        plot_latencies(trace[0], pictures["picture"], settings.warmup_fraction)
        plot_timeline(*trace, pictures["timeline"], settings.warmup_fraction)
    return dict(conclude(scenario, files))
