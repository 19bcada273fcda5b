"""GPUs as data: peaks, memory, and which measured kernel tables stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from simulator.errors import TableError
from simulator.quantities import Quantity, data_names, read_data, read_quantities

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
        Key in ``hardware_specs/gpus`` and the name people use.
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
        GPU whose measured kernel tables stand for this one.
    provenance
        Every figure as it stands in the data file.
    nvlink_bandwidth
        NVLink of one GPU, both directions together, bytes/s; None without NVLink.
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


@cache
def load_gpu(name: str) -> Gpu:
    """Load one GPU by name.

    Raises
    ------
    TableError
        If there is no such GPU, or a figure lacks its source.

    Examples
    --------
    >>> round(load_gpu("a100_sxm").ridge_flop_per_byte("bfloat16"))
    153
    """
    data = read_data(_PACKAGE, name, "GPU")
    title, tables, peaks = data.pop("title"), data.pop("tables", name), data.pop("peak_flops")
    entries = data | {f"peak_flops.{dtype}": entry for dtype, entry in peaks.items()}
    provenance = read_quantities(entries, f"hardware_specs/gpus/{name}.yaml")
    nvlink = provenance.get("nvlink_bandwidth")
    return Gpu(
        name=name,
        title=str(title),
        memory_bytes=provenance["memory"].value,
        memory_bandwidth=provenance["memory_bandwidth"].value,
        l2_bytes=provenance["l2_cache"].value,
        peak_flops={dtype: provenance[f"peak_flops.{dtype}"].value for dtype in peaks},
        node_gpus=int(provenance["node_gpus"].value),
        tables=str(tables),
        provenance=provenance,
        nvlink_bandwidth=None if nvlink is None else nvlink.value,
    )
