"""Making the kernel tables from the measured database: read, clean, fit, write, account for it.

The same database gives the same tables: `schema.content_hash` of each stands in the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.hardware.gpu import Gpu, load_gpu
from simulator.kernels import fitting
from simulator.kernels.cleaning import clean, filtered, thinned
from simulator.kernels.fits import FILE, Fit, write_fits
from simulator.kernels.monotone import monotone_seconds
from simulator.kernels.schema import (
    ENGINES,
    MONOTONE,
    OPERATORS,
    Rows,
    content_hash,
    write_table,
)
from simulator.kernels.selection import Choice, Selection, load_selection
from simulator.kernels.sources import find_database, read_choice

MANIFEST = "manifest.yaml"


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """One table made by the importer.

    Parameters
    ----------
    gpu, engine, operator
        What it holds.
    path
        Where it was written.
    rows
        Rows kept.
    dropped
        Rows dropped, by cleaning rule.
    sources
        Files of the database it came from.
    sha256
        Hash of its content (`schema.content_hash`).
    """

    gpu: str
    engine: str
    operator: str
    path: Path
    rows: int
    dropped: Mapping[str, int]
    sources: tuple[str, ...]
    sha256: str

    @property
    def key(self) -> str:
        """Its name in the manifest: the path below the tables' folder, without suffix."""
        return f"{self.gpu}/{self.engine}/{self.operator}"


def import_tables(destination: Path, source: Path | None = None) -> list[ImportedTable]:
    """Distil the measured database into our tables.

    Parameters
    ----------
    destination
        Folder to write to: one folder per GPU and engine, ``fits.yaml`` and ``manifest.yaml``.
    source
        Folder ``systems`` of aiconfigurator-core; None finds the installed package.

    Returns
    -------
    list of ImportedTable
        What was written, by GPU, engine and operator.

    Raises
    ------
    TableError
        If the database is not there or lacks a file that the selection names.
    """
    database = find_database(source)
    selection = load_selection()
    tables: list[ImportedTable] = []
    fitted: dict[str, list[Fit]] = {}
    for gpu_name, engine in selection.sets:
        gpu = load_gpu(gpu_name)
        (destination / gpu_name / engine).mkdir(parents=True, exist_ok=True)
        for operator in OPERATORS:
            choices = selection.of(gpu_name, engine, operator)
            if not choices:
                continue
            table, rows = _import_one(destination, database, selection, gpu, choices)
            tables.append(table)
            for fit in _fits(operator, rows, choices, gpu):
                fitted.setdefault(operator, []).append(fit)
    origin = f"{selection.package} {selection.package_version} ({selection.licence})"
    write_fits(destination / FILE, f"{origin}, the tables beside this file", fitted)
    write_manifest(destination / MANIFEST, selection, tables)
    return tables


def _import_one(
    destination: Path,
    database: Path,
    selection: Selection,
    gpu: Gpu,
    choices: list[Choice],
) -> tuple[ImportedTable, Rows]:
    operator, engine = choices[0].operator, choices[0].engine
    parts: list[Rows] = []
    sources: list[str] = []
    for rank, choice in enumerate(choices):
        rows, files = read_choice(database, choice)
        if operator == "experts":
            rows = filtered(rows, np.isin(rows["expert_parallel"], selection.expert_parallel))
        rows["rank"] = np.full(len(rows["seconds"]), rank)
        parts.append(rows)
        sources += files
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows, dropped = clean(operator, merged, gpu)
    if OPERATORS[operator].monotone:
        rows[MONOTONE] = monotone_seconds(OPERATORS[operator], rows)
    if operator == "gemm" and engine != ENGINES[0]:
        keep = thinned(rows)
        dropped["thinned"] = int((~keep).sum())
        rows = filtered(rows, keep)
    found = tuple(dict.fromkeys(sources))
    path = destination / gpu.name / engine / f"{operator}.parquet"
    provenance = {
        "package": selection.package,
        "version": selection.package_version,
        "licence": selection.licence,
        "files": json.dumps(found),
        "dropped_rows": json.dumps(dropped, sort_keys=True),
    }
    write_table(path, OPERATORS[operator], rows, provenance)
    count = len(rows["seconds"])
    digest = content_hash(path)
    table = ImportedTable(gpu.name, engine, operator, path, count, dropped, found, digest)
    return table, rows


def _fits(operator: str, rows: Rows, choices: list[Choice], gpu: Gpu) -> Iterator[Fit]:
    if operator == "experts":
        for choice in {c.dtype: c for c in reversed(choices)}.values():
            yield fitting.fit_experts(_rows_of(rows, choice), gpu, choice.engine)
    elif operator == "masked_experts":
        for choice in choices:
            yield fitting.fit_pooled_experts(_rows_of(rows, choice), gpu, choice.engine)
    elif operator in _FITS:
        for dtype in dict.fromkeys(c.dtype for c in choices):
            mine = filtered(rows, rows["dtype"] == dtype)
            yield _FITS[operator](mine, gpu, choices[0].engine)


_FITS: dict[str, Callable[[Rows, Gpu, str], Fit]] = {
    "decode_attention": fitting.fit_decode,
    "prefill_attention": fitting.fit_prefill,
    "latent_decode": fitting.fit_latent_decode,
}
"""Attention is fitted per format of the cache."""


def _rows_of(rows: Rows, choice: Choice) -> Rows:
    same = (rows["dtype"] == choice.dtype) & (rows["backend"] == choice.backend)
    return filtered(rows, same & (rows["version"] == choice.version))


def write_manifest(path: Path, selection: Selection, tables: list[ImportedTable]) -> None:
    """Write what was imported: rows, hashes, sources and dropped rows of every table."""
    lines = [
        "# What the importer wrote, and from what; do not edit.",
        f"package: {selection.package}",
        f"package_version: {selection.package_version}",
        f"licence: {selection.licence}",
        f"rows: {sum(table.rows for table in tables)}",
        "tables:",
    ]
    for table in tables:
        dropped = ", ".join(f"{rule}: {count}" for rule, count in sorted(table.dropped.items()))
        lines += [
            f"  {table.key}:",
            f"    rows: {table.rows}",
            f"    sha256: {table.sha256}",
            f"    sources: [{', '.join(table.sources)}]",
            f"    dropped: {{{dropped}}}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
