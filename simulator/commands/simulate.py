"""``moesim simulate``: one scenario, SD and baseline paired."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from simulator.commands.messages import CONFIG_ERRORS, explain
from simulator.config import Config
from simulator.errors import ConfigError, SimulatorError
from simulator.mapping import from_mapping
from simulator.report.plots import plot_latencies
from simulator.report.progress import progress
from simulator.report.terminal import print_summary
from simulator.scenario import build
from simulator.study.paired import run_count, simulate
from simulator.study.result import conclude

_GROUPS = "pkg://simulator.conf"
"""Where Hydra finds the shipped config groups."""


def main(arguments: list[str]) -> int:
    """Compose the scenario with Hydra, run it, print and save the result.

    Returns
    -------
    int
        0; or 2 when a point of a ``-m`` sweep was refused, the others having run.

    Raises
    ------
    SimulatorError
        If the input cannot be run.
    """
    refused: list[SimulatorError] = []

    @hydra.main(version_base="1.3", config_path=_GROUPS, config_name="config")
    def job(composed: DictConfig) -> None:
        # Hydra prints a line of its own about an exception that leaves a job: keep them in.
        try:
            run(composed, Path(HydraConfig.get().runtime.output_dir))
        except SimulatorError as error:
            refused.append(error)
        except CONFIG_ERRORS as error:
            refused.append(ConfigError(explain(error)))

    _call_hydra(job, arguments)
    for error in refused[:-1]:
        sys.stderr.write(f"moesim: {error}\n")
    if refused:
        raise refused[-1]
    return 0


def to_config(composed: DictConfig) -> Config:
    """Turn a composed Hydra config into frozen dataclasses; nothing of Hydra goes further.

    Raises
    ------
    ConfigError
        If a value is of another type, or makes no sense by itself or beside another.
    """
    values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    return from_mapping(Config, dict(values), "")  # type: ignore[arg-type]


def run(composed: DictConfig, folder: Path) -> None:
    """Run one composed scenario into a folder: trace, summary, picture, and a table on screen."""
    scenario = build(to_config(composed))
    settings = scenario.config.run
    files = {name: folder / f"{name}.parquet" for name in ("requests", "iterations")}
    files["summary"] = folder / "summary.json"
    if settings.picture:
        files["picture"] = folder / "latencies.png"
    for path in files.values():
        path.unlink(missing_ok=True)  # nothing stale beside new results
    with progress(run_count(scenario.config), "simulating") as bar:
        simulate(scenario, files["requests"], files["iterations"], bar.advance)
    if settings.picture:
        plot_latencies(files["requests"], files["picture"], settings.warmup_fraction)
    print_summary(conclude(scenario, files), Console())


def _call_hydra(job: object, arguments: list[str]) -> None:
    """Call Hydra's entry point with our arguments, its errors turned into ours."""
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["moesim simulate", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise instead of printing and exiting
    try:
        job()  # type: ignore[operator]
    except CONFIG_ERRORS as error:
        raise ConfigError(explain(error)) from error
    except OSError as error:
        raise ConfigError(f"{error.filename or 'the run folder'}: {error.strerror}.") from error
    finally:
        sys.argv = before[0]
        if before[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
