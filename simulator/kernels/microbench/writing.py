"""Writing what was timed: kernel tables, fits, the spread of every cell, and a GPU spec.

A run folder holds ``gpu.yaml`` and beside it, in the form of the shipped ones, one Parquet file per
operator and ``fits.yaml``; ``hardware.gpu=FOLDER/gpu.yaml`` reads them. ``repeats.parquet`` keeps
what the tables have no column for: how far the repeats of each cell lay apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import ConfigError
from simulator.hardware.gpu import SPEC_FILE, Gpu, load_gpu
from simulator.kernels import fitting
from simulator.kernels.fits import FILE as FITS_FILE
from simulator.kernels.fits import Fit, write_fits
from simulator.kernels.microbench.device import Device, Machine
from simulator.kernels.microbench.figures import Figures
from simulator.kernels.microbench.runner import Measurement, Results
from simulator.kernels.monotone import monotone_seconds
from simulator.kernels.schema import ENGINES, MONOTONE, OPERATORS, Operator, Rows, write_table
from simulator.quantities import Quantity, quantity_lines, quoted

REPEATS_FILE = "repeats.parquet"

_SLACK = 1000.0
"""How much slower than a data-centre GPU the bounds of the fits let a machine be."""

_OWN_NAME = "this_machine"
"""Name of the machine in its fits: a path would not hold once the folder is moved."""

_FITS: dict[str, Callable[..., Fit]] = {
    "experts": partial(fitting.fit_experts, slack=_SLACK),
    "decode_attention": partial(fitting.fit_decode, slack=_SLACK),
    "prefill_attention": partial(fitting.fit_prefill, slack=_SLACK),
}


def write_machine(
    folder: Path, device: Device, results: Results, figures: Figures, day: date
) -> dict[str, Path]:
    """Write everything that ``hardware.gpu=FOLDER/gpu.yaml`` needs.

    Parameters
    ----------
    folder
        Where to; made if need be.
    device
        What was timed.
    results, figures
        The times, and what they say of the machine.
    day
        Goes into the sources.

    Returns
    -------
    dict
        What was written: the spec, the folder of tables as one entry, and the spreads.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    source = source_of(device.machine, day)
    spec = folder / SPEC_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        spec.write_text(spec_text(device.machine, figures, source), encoding="utf-8")
        tables = _write_tables(folder, device, results, figures.dtype, source)
        write_repeats(folder / REPEATS_FILE, results, source)
        gpu = replace(load_gpu(str(spec)), name=_OWN_NAME)
        write_fits(folder / FITS_FILE, source, _fitted(tables, gpu))
    except OSError as error:
        raise ConfigError(
            f"cannot write into {str(folder)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
    names = {name: folder / f"{name}.parquet" for name in tables}
    return {"gpu": spec, **names, "fits": folder / FITS_FILE, "repeats": folder / REPEATS_FILE}


def source_of(machine: Machine, day: date) -> str:
    """Say where measured figures come from: what ran, when, on what."""
    return (
        f"moesim calibrate kernels, {day.isoformat()}, {machine.title} ({machine.setting}), "
        f"{machine.backend} {machine.version}"
    )


def spec_text(machine: Machine, figures: Figures, source: str) -> str:
    """Compose the GPU spec."""
    bandwidth = f"{source}: the faster of a copy (read and written bytes) and a sum"
    entries = {
        "memory": machine.memory,
        "memory_bandwidth": Quantity(figures.memory_bandwidth, "byte/s", bandwidth, "measured"),
        "l2_cache": machine.cache,
        "node_gpus": Quantity(1.0, "GPU", "one device was measured", "measured"),
    }
    rate = f"{source}: the highest rate of any timed kernel"
    peaks = {
        dtype: Quantity(flops, "FLOP/s", rate, "measured")
        for dtype, flops in figures.peak_flops.items()
    }
    lines = [
        "# Written by moesim calibrate kernels. Measured peaks are what kernels reached here.",
        *(f"# {caution}" for caution in machine.cautions),
        f"title: {quoted(machine.title)}",
        "tables: ./  # the Parquet files beside this one",
        *quantity_lines(entries),
        "peak_flops:",
        *quantity_lines(peaks, indent="  "),
    ]
    return "\n".join(lines) + "\n"


def _write_tables(
    folder: Path, device: Device, results: Results, dtype: str, source: str
) -> dict[str, Rows]:
    """Write one file per operator that was timed in the format of the tables."""
    tables = {}
    for name, operator in OPERATORS.items():
        timed = [m for m in results.tables if (m.cell.operator, m.cell.dtype) == (name, dtype)]
        if timed:
            tables[name] = rows_of(operator, timed, device)
            write_table(folder / f"{name}.parquet", operator, tables[name], {"source": source})
    return tables


def rows_of(operator: Operator, timed: Iterable[Measurement], device: Device) -> Rows:
    """Return the medians of one operator's cells as rows of its table."""
    timed = list(timed)
    count = len(timed)
    rows: Rows = {
        "backend": np.full(count, device.machine.backend),
        "version": np.full(count, device.machine.version),
        "kernel_source": np.array([device.kernel(m.cell) for m in timed]),
        "dtype": np.array([m.cell.dtype for m in timed]),
        "seconds": np.array([m.seconds for m in timed]),
    }
    rows |= {key: np.array([m.cell.keys[key] for m in timed]) for key in operator.keys}
    if operator.monotone:
        rows[MONOTONE] = monotone_seconds(operator, rows)
    return rows


def _fitted(tables: Mapping[str, Rows], gpu: Gpu) -> dict[str, list[Fit]]:
    return {name: [fit(tables[name], gpu, ENGINES[0])] for name, fit in _FITS.items()}


def write_repeats(path: Path, results: Results, source: str) -> Path:
    """Write the spread of every cell: repeats, least, quartiles, median and most, s."""
    every = (*results.tables, *results.line)
    quantiles = np.array([np.quantile(m.samples_s, (0, 0.25, 0.5, 0.75, 1)) for m in every])
    columns = {
        "operator": pa.array([m.cell.operator for m in every]),
        "dtype": pa.array([m.cell.dtype for m in every]),
        "routing": pa.array([m.cell.routing for m in every]),
        "cell": pa.array([str(m.cell) for m in every]),
        "repeats": pa.array([len(m.samples_s) for m in every], pa.int32()),
    }
    names = ("least_s", "lower_quartile_s", "median_s", "upper_quartile_s", "most_s")
    columns |= {name: pa.array(quantiles[:, i]) for i, name in enumerate(names)}
    table = pa.table(columns).replace_schema_metadata({"source": source})
    pq.write_table(table, path, compression="zstd")
    return path
