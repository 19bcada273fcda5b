"""The files of a plan: all there, or no ``plan.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from simulator.study.plan.deployment import Deployment
from simulator.study.plan.exports.as_json import plan_json
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.tables import COLUMNS, tables
from simulator.study.plan.result import Plan
from simulator.trace.files import disk_errors, partial_path
from simulator.trace.json_file import write_json
from simulator.trace.parquet import ParquetStream

PLAN_FILE = "plan.json"
"""Says that a folder holds a plan; written last, so that it is there only with all the others."""

SCRIPTS = ("vllm", "sglang")
"""Engines whose commands get a file."""


def write_plan(
    plan: Plan,
    verdict: str,
    commands: Mapping[Deployment, Mapping[str, Export]],
    folder: Path,
) -> dict[str, Path]:
    """Write a plan into a folder.

    ``offers``, ``latencies``, ``pareto`` and ``rejected`` in Parquet, the commands of the first
    offer that meets as ``serve-vllm.sh`` and ``serve-sglang.sh``, and at last ``plan.json``. Each
    file appears whole or not at all, and what stood there of another plan is gone before.

    Parameters
    ----------
    plan
        The plan.
    verdict
        What it comes to, in words.
    commands
        How each offer is started, by engine (`served.started`).
    folder
        Made if need be.

    Returns
    -------
    dict
        The files by what they are.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    found = tables(plan)
    paths = {name: folder / f"{name}.parquet" for name in COLUMNS}
    scripts = {engine: folder / f"serve-{engine}.sh" for engine in SCRIPTS}
    for path in (folder / PLAN_FILE, *paths.values(), *scripts.values()):
        with disk_errors(path):
            path.unlink(missing_ok=True)
    for name, path in paths.items():
        _write_table(found[name], path)
    if plan.best is not None:
        for engine, path in scripts.items():
            _write_text(commands[plan.best.deployment][engine].script(), path)
            paths[f"serve-{engine}"] = path
    written = write_json(folder / PLAN_FILE, plan_json(plan, verdict, commands))
    return {"plan": written, **paths}


def _write_table(rows: pa.Table, path: Path) -> None:
    stream = ParquetStream(path, rows.schema)
    stream.write(rows)
    stream.finish()


def _write_text(text: str, path: Path) -> None:
    """Write a script that may be run, beside its name first."""
    partial = partial_path(path)
    with disk_errors(path):
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o755)
        os.replace(partial, path)
