"""What the folder of a run holds, read once, for all parts of its page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulator.config import Config
from simulator.errors import SimulatorError
from simulator.mapping import from_mapping
from simulator.report.html.folder import read_object, require
from simulator.report.own_options import own_options
from simulator.scenario import Scenario, build
from simulator.trace.read import notes, open_trace
from simulator.trace.schema import TABLES

Json = Mapping[str, Any]

_NEEDED = ("speedup", "baseline", "speculative", "warmup_fraction")
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class RunSource:
    """A run as its folder tells it.

    Parameters
    ----------
    folder
        The folder.
    summary
        Its ``summary.json``.
    tables
        The files of its trace that are there, by the name of their table.
    config
        The resolved configuration, from the metadata of the trace.
    versions
        What ran it, from the same place.
    overrides
        The words of its command line; None where the folder does not tell them.
    scenario
        The parts that the configuration builds, for closed forms; None where it no longer does.
    problem
        Why there is no scenario.
    """

    folder: Path
    summary: Json
    tables: Mapping[str, Path]
    config: Json
    versions: Json
    overrides: list[str] | None
    scenario: Scenario | None
    problem: str = ""

    @property
    def config_hash(self) -> str:
        """The first digits of the SHA-256 of the resolved configuration as canonical JSON."""
        text = json.dumps(self.config, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]

    @property
    def warmup_fraction(self) -> float:
        """Share of the arrivals' span that is cut before anything is measured."""
        return float(self.summary["warmup_fraction"])


def read_run(folder: Path) -> RunSource:
    """Read the folder of a run.

    Raises
    ------
    DataError
        If its summary or its trace are not whole, or of another version.
    """
    summary = read_object(folder / "summary.json")
    require(summary, _NEEDED, folder / "summary.json")
    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    tables = {name: path for name, path in paths.items() if path.is_file()}
    said = {}
    for name, path in tables.items():
        with open_trace(path, name) as file:
            said[name] = notes(file)
    config = json.loads(said["requests"].get("config", "{}"))
    scenario, problem = _scenario(config)
    return RunSource(
        folder=folder,
        summary=summary,
        tables=tables,
        config=config,
        versions=json.loads(said["requests"].get("versions", "{}")),
        overrides=_overrides(folder),
        scenario=scenario,
        problem=problem,
    )


def _scenario(config: Json) -> tuple[Scenario | None, str]:
    """Build what ran; a plug-in or a file that is gone costs the closed forms, not the page."""
    workload = config.get("workload") or {}
    if workload.get("mix"):  # its classes follow from its parts, and may not be given beside them
        config = {**config, "workload": {**workload, "traffic_classes": []}}
    try:
        return build(from_mapping(Config, config, "")), ""
    except SimulatorError as error:
        return None, str(error)


def _overrides(folder: Path) -> list[str] | None:
    """Return the words of the command line, as Hydra keeps them beside the run."""
    words = _kept(folder, "overrides")
    if not isinstance(words, list):
        return None
    try:
        own = own_options(_kept(folder, "hydra")["hydra"]["runtime"]["config_sources"])
    except (KeyError, TypeError):
        own = []
    return [*own, *map(str, words)]


def _kept(folder: Path, name: str) -> Any:
    """Return a file that Hydra left beside the run; None if it cannot be read."""
    try:
        text = (folder / ".hydra" / f"{name}.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text)
    except (OSError, yaml.YAMLError):
        return None
