"""Runs to be compared, as their folders have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.study.stored import stored_settings
from simulator.trace.folder import run_tables
from simulator.trace.metrics import RunMetrics, measure
from simulator.trace.read import Column, Run, chunks, notes, open_trace
from simulator.trace.schema import ARMS

_IDLE = ("run.workers", "run.picture", "title")
"""Settings that no figure depends on."""

Asked = dict[int, dict[str, Column]]
"""What was asked of a run, by replication: arrivals and lengths, requests in order."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run.

    Parameters
    ----------
    folder
        Where it is.
    settings
        Its resolved configuration, by dotted path.
    metrics
        Of every arm and replication.
    asked
        What was asked of it.
    versions
        Of moesim and the libraries that decide the numbers, as its trace states them.
    """

    folder: Path
    settings: Mapping[str, Any]
    metrics: Mapping[Run, RunMetrics]
    asked: Asked
    versions: str

    def of(self, arm: str) -> dict[int, RunMetrics]:
        """Return the metrics of an arm, by replication."""
        return {run.replication: one for run, one in sorted(self.metrics.items()) if run.arm == arm}


def read_runs(folders: Sequence[Path]) -> list[StoredRun]:
    """Read and measure runs.

    Raises
    ------
    ConfigError
        If there are fewer than two, or one twice.
    DataError
        If a folder is not that of a run that ended.
    """
    if len(folders) < 2:
        named = "one run is named" if folders else "no run is named"
        raise ConfigError(
            f"{named}, and it takes two or more to compare. Try: moesim compare --help"
        )
    resolved = [folder.resolve() for folder in folders]
    for position, folder in enumerate(folders):
        if resolved[position] in resolved[:position]:
            raise ConfigError(f"{str(folder)!r} is named twice; name different runs.")
    return [_read(folder) for folder in folders]


def _read(folder: Path) -> StoredRun:
    tables = run_tables(folder)
    settings = flat(stored_settings(tables["requests"]))
    warmup = float(settings["run.warmup_fraction"])
    with open_trace(tables["requests"], "requests") as file:
        versions = notes(file)["versions"]
    metrics = measure(tables["requests"], tables["iterations"], warmup)
    return StoredRun(folder, settings, metrics, _asked(tables["requests"]), versions)


def flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by dotted path, those that no figure depends on left out.

    Examples
    --------
    >>> flat({"run": {"seed": 3, "workers": 2}, "slo": None})
    {'run.seed': 3, 'slo': None}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            found |= flat(value, name)
        elif name not in _IDLE:
            found[name] = value
    return found


def _asked(requests: Path) -> Asked:
    columns = ("request_id", "arrival_s", "prompt_tokens", "output_tokens")
    parts: dict[int, list[dict[str, Column]]] = {}
    for run, rows in chunks(requests, "requests", columns):
        if run.arm == ARMS[0]:
            parts.setdefault(run.replication, []).append(rows)
    asked: Asked = {}
    for replication, rows_of in parts.items():
        whole = {name: np.concatenate([rows[name] for rows in rows_of]) for name in columns}
        order = np.argsort(whole["request_id"])
        asked[replication] = {name: values[order] for name, values in whole.items()}
    return asked
