"""GPUs as data: peaks, memory, and which measured kernel tables stand for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import TableError
from simulator.quantities import (
    Quantity,
    data_names,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)

_PACKAGE = "simulator.hardware_specs.gpus"

COMPUTE_DTYPES = {
    "int4_wo": "bfloat16",
    "w4a16_mxfp4": "bfloat16",
    "w4a8_mxfp4_mxfp8": "fp8",
    "fp8_block": "fp8",
}
"""Weight formats whose products run at the tensor-core peak of another."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU model. Peaks are vendor peaks; efficiency is never folded into them.

    Parameters
    ----------
    name, title
        Key in ``hardware_specs/gpus``, or path of a specification, and the name people use.
    memory_bytes
        HBM or GDDR capacity, bytes.
    memory_bandwidth
        Peak memory bandwidth, bytes/s.
    l2_bytes
        Last-level cache, bytes.
    peak_flops
        Dense tensor-core peak by weight dtype, FLOP/s.
    node_gpus
        GPUs in one node.
    tables
        GPU whose measured kernel tables stand for this one. Its own name where the tables are its
        own, or a specification given by path has none.
    provenance
        Every figure as it stands in the data file.
    nvlink_bandwidth
        NVLink of one GPU, both directions together, bytes/s; None without NVLink.
    host_bandwidth
        Peak of the link from host memory (PCIe, NVLink-C2C), this direction alone, bytes/s; None
        where the specification leaves it out.
    tdp_watts
        Thermal design power, W; None where the specification leaves it out.
    """

    name: str
    title: str
    memory_bytes: float
    memory_bandwidth: float
    l2_bytes: float
    peak_flops: dict[str, float]
    node_gpus: int
    tables: str
    provenance: dict[str, Quantity]
    nvlink_bandwidth: float | None = None
    host_bandwidth: float | None = None
    tdp_watts: float | None = None

    def ridge_flop_per_byte(self, dtype: str) -> float:
        """Arithmetic intensity where compute and memory time are equal, FLOP/byte (eq. 1)."""
        return self.peak(dtype) / self.memory_bandwidth

    def peak(self, dtype: str) -> float:
        """Return the dense peak for a weight dtype, FLOP/s.

        Weight-only formats (int4_wo, w4a16_mxfp4) compute in bf16, w4a8_mxfp4_mxfp8 in fp8.

        Raises
        ------
        TableError
            If this GPU has no tensor cores for the dtype.
        """
        compute = COMPUTE_DTYPES.get(dtype, dtype)
        if compute not in self.peak_flops:
            raise TableError(
                f"{self.title} has no {compute} tensor-core peak; it computes in "
                f"{', '.join(self.peak_flops)}."
            )
        return self.peak_flops[compute]


def gpu_names() -> list[str]:
    """List the GPUs in ``hardware_specs/gpus``."""
    return data_names(_PACKAGE)


SPEC_FILE = "gpu.yaml"
"""Name of the specification in a folder that also holds its measured tables."""

_REQUIRED = ("memory", "memory_bandwidth", "l2_cache", "node_gpus")


def load_gpu(name: str) -> Gpu:
    """Load one GPU by name, or from a file of the same form by its path.

    A file stands for any machine with memory and peaks, a CPU too. Its ``tables:`` may name a
    measured GPU that stands for it, or a folder beside the file with tables of its own (``./``).
    Without it every operator is priced by the roofline of the peaks (`kernels.roofline`).

    Parameters
    ----------
    name
        Key in ``hardware_specs/gpus``, path of a YAML file, or of a folder with a `SPEC_FILE`.

    Raises
    ------
    TableError
        If there is no such GPU or file, or a figure is missing, not positive or without its source.

    Examples
    --------
    >>> round(load_gpu("a100_sxm").ridge_flop_per_byte("bfloat16"))
    153
    """
    if not names_a_file(name):
        return _shipped(name)
    file = Path(name).expanduser().absolute()
    if file.is_dir():
        file /= SPEC_FILE
    data = read_data_file(file, "GPU specification")
    return _gpu(*_own_names(file, data), data, str(file))


@cache
def _shipped(name: str) -> Gpu:
    data = read_data(_PACKAGE, name, "GPU")
    return _gpu(name, str(data.get("tables", name)), data, f"hardware_specs/gpus/{name}.yaml")


def _own_names(file: Path, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of a specification given by its path, and of the tables that stand for it.

    Both can be loaded by: a folder stands for the file and the tables in it. Equal names say that
    the tables are the machine's own, or that it has none.
    """
    tables = data.get("tables")
    if tables is None:
        return str(file), str(file)
    if not names_a_file(str(tables)):
        return str(file), str(tables)
    folder = (file.parent / str(tables)).resolve()
    if not folder.is_dir():
        raise TableError(f"{file}: tables: there is no folder {str(folder)!r}.")
    return str(folder), str(folder)


def _gpu(name: str, tables: str, data: Mapping[str, Any], origin: str) -> Gpu:
    """Build a GPU from the mapping of a specification."""
    entries = {key: entry for key, entry in data.items() if key not in ("title", "tables")}
    peaks = entries.pop("peak_flops", None)
    if not isinstance(peaks, Mapping) or not peaks:
        raise TableError(f"{origin} lacks peak_flops: the dense peak by format, FLOP/s.")
    entries |= {f"peak_flops.{dtype}": entry for dtype, entry in peaks.items()}
    provenance = read_quantities(entries, origin)
    missing = [key for key in _REQUIRED if key not in provenance]
    if missing:
        raise TableError(f"{origin} lacks {', '.join(missing)}.")
    for key, entry in provenance.items():
        if not 0 < entry.value < float("inf"):
            raise TableError(f"{origin}: {key} is {entry.value!r}; it must be positive.")
    values = {key: entry.value for key, entry in provenance.items()}
    return Gpu(
        name=name,
        title=str(data.get("title", name)),
        memory_bytes=values["memory"],
        memory_bandwidth=values["memory_bandwidth"],
        l2_bytes=values["l2_cache"],
        peak_flops={dtype: values[f"peak_flops.{dtype}"] for dtype in peaks},
        node_gpus=int(values["node_gpus"]),
        tables=tables,
        provenance=provenance,
        nvlink_bandwidth=values.get("nvlink_bandwidth"),
        host_bandwidth=values.get("host_bandwidth"),
        tdp_watts=values.get("tdp"),
    )
