"""The serving engine's own costs: host work between kernels, launches, sampling."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from simulator.errors import TableError, unknown
from simulator.hardware.gpu import Gpu
from simulator.kernels.schema import ENGINES
from simulator.quantities import (
    Quantity,
    data_names,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)

_PACKAGE = "simulator.hardware_specs.engines"


_REQUIRED = {
    "plain_step": "s",
    "plain_request": "s",
    "verify_step": "s",
    "verify_request": "s",
    "draft_step": "s",
    "kernel_launch": "s",
    "memory_efficiency": "1",
    "sampling_passes": "1",
    "sampling_kernels": "1",
    "prefill_layer": "s",
    "front_end": "s",
    "memory_reserve": "1",
    "activation_reserve": "byte",
}
"""Figures that every profile states, with their units."""

_OPTIONAL = {
    "draft_request": "s",
    "operator_launch": "s",
    "bandwidth_fraction": "1",
    "compute_fraction": "1",
    "routing_within_request": "1",
    "routing_across_requests": "1",
    "routing_prompt": "1",
    "front_end_request": "s",
    "reserved_output": "1",
    "separate_prefill": "1",
    "batch_expansion": "1",
}
"""Figures that a profile may leave out, with their units; `Engine` has what they are then."""

_BOUNDS = {
    "memory_efficiency": (1e-4, 1.0),
    "bandwidth_fraction": (1e-4, 10.0),
    "compute_fraction": (1e-4, 10.0),
    "routing_within_request": (1e-3, 1.0),
    "routing_across_requests": (1e-3, 1.0),
    "routing_prompt": (1e-3, 1.0),
    "memory_reserve": (0.0, 1.0),
    "reserved_output": (0.0, 1.0),
    "separate_prefill": (0.0, 1.0),
    "batch_expansion": (0.0, 1.0),
}
"""Bounds of figures; all others are finite and not negative."""

_SUFFIX = {"s": "_s", "byte": "_bytes", "1": ""}
"""What a unit adds to the name of a figure in `Engine`."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine adds to the model's kernels. Times in seconds.

    Parameters
    ----------
    name, title, tables
        Key in ``hardware_specs/engines`` or path of the file, the name people use, and whose kernel
        tables serve it.
    plain_step_s, plain_request_s
        Host time of a step, and per request in it.
    verify_step_s, verify_request_s
        The same for a draft-and-verify round, its draft steps not counted.
    draft_step_s
        Host time of one draft step.
    kernel_launch_s, memory_efficiency
        Floor of an elementwise kernel, and the share of peak bandwidth it reaches.
    sampling_passes, sampling_kernels
        Passes over the fp32 logits, and kernels, that sampling takes.
    prefill_layer_s
        What a layer of a step with prefill costs beyond its kernels, which are launched one by one
        instead of as a graph.
    front_end_s
        Delay between a request's arrival and the scheduler's queue, for each request by itself,
        behind `front_end_request_s`.
    memory_reserve, activation_reserve_bytes
        Share of GPU memory the engine leaves free, and bytes it keeps for activations.
    provenance
        Every figure above as it stands in the data file.
    draft_request_s
        Host time of one draft step per request in it.
    operator_launch_s
        Host time of each call of an operator that is launched one by one (eager mode); kernels
        inside a graph have none.
    bandwidth_fraction, compute_fraction
        Speed that kernels reach relative to what tables or rooflines say, for the memory-bound and
        the compute-bound share of an operator (`slowdown`).
    routing_within_request, routing_across_requests, routing_prompt
        Exponents of the overlap law that were calibrated with the profile (`experts.laws`); None
        where they were not. They hold where the configuration sets none.
    front_end_request_s
        Time that the front end (HTTP, tokenizer) spends on one request at a time: requests that
        arrive together reach the scheduler one after another.
    reserved_output
        Share of the cache that running requests may yet take which the scheduler keeps free for
        them when it lets another in.
    separate_prefill
        1: prompts run in steps of their own, which decoding requests wait for; 0: they join decode
        steps (chunked prefill).
    batch_expansion
        1: every query token of a verify step is a sequence of its own, which has its own host work
        and sampling and reads the whole cache (vLLM V0 with CUDA graphs); 0: the query tokens of a
        request are one sequence.
    """

    name: str
    title: str
    tables: str
    plain_step_s: float
    plain_request_s: float
    verify_step_s: float
    verify_request_s: float
    draft_step_s: float
    kernel_launch_s: float
    memory_efficiency: float
    sampling_passes: float
    sampling_kernels: float
    prefill_layer_s: float
    front_end_s: float
    memory_reserve: float
    activation_reserve_bytes: float
    provenance: dict[str, Quantity]
    draft_request_s: float = 0.0
    operator_launch_s: float = 0.0
    bandwidth_fraction: float = 1.0
    compute_fraction: float = 1.0
    routing_within_request: float | None = None
    routing_across_requests: float | None = None
    routing_prompt: float | None = None
    front_end_request_s: float = 0.0
    reserved_output: float = 0.0
    separate_prefill: float = 0.0
    batch_expansion: float = 0.0

    @property
    def at_table_speed(self) -> bool:
        """Whether kernels take what tables and rooflines say, so that nothing is scaled."""
        return self.bandwidth_fraction == self.compute_fraction == 1.0

    def slowdown(self, memory_s: float, compute_s: float) -> float:
        """Return what multiplies the time of a kernel here.

        ``w / f_b + (1 - w) / f_c``, where w = m / (m + c) is the memory-bound share, and f_b and
        f_c are the bandwidth and compute fractions.

        Parameters
        ----------
        memory_s, compute_s
            m and c: the kernel's bytes over the peak bandwidth, its FLOPs over the peak; s.
        """
        share = memory_s / (memory_s + compute_s)
        return share / self.bandwidth_fraction + (1.0 - share) / self.compute_fraction

    def elementwise_s(self, moved_bytes: float, kernels: float, gpu: Gpu) -> float:
        """Time of memory-bound kernels: ``kernels * launch + bytes / (efficiency * bandwidth)``.

        The bandwidth is the peak times `bandwidth_fraction`.
        """
        bandwidth = self.memory_efficiency * self.bandwidth_fraction * gpu.memory_bandwidth
        return kernels * self.kernel_launch_s + moved_bytes / bandwidth

    def sampling_s(self, rows: float, vocab: int, gpu: Gpu) -> float:
        """Time to sample ``rows`` tokens from fp32 logits of ``vocab`` entries."""
        if not rows:
            return 0.0
        return self.elementwise_s(
            rows * vocab * 4 * self.sampling_passes, self.sampling_kernels, gpu
        )


def engine_names() -> list[str]:
    """List the engines in ``hardware_specs/engines``."""
    return data_names(_PACKAGE)


def load_engine(name: str) -> Engine:
    """Load one engine by name, or from a file of the same form by its path.

    Raises
    ------
    TableError
        If there is no such engine or file, or a figure is unknown, missing, out of bounds or
        without its source.

    Examples
    --------
    >>> load_engine("vllm").plain_step_s
    0.00052
    """
    return read_engine(name) if names_a_file(name) else _shipped(name)


@cache
def _shipped(name: str) -> Engine:
    data = read_data(_PACKAGE, name, "engine")
    return engine_of(name, data, f"hardware_specs/engines/{name}.yaml")


def read_engine(path: str) -> Engine:
    """Read a profile from a file; read anew each time, for it may have been written since."""
    return engine_of(path, read_data_file(path, "engine profile"), path)


def engine_of(name: str, data: Mapping[str, Any], origin: str) -> Engine:
    """Build an engine from a mapping of the form of ``hardware_specs/engines/*.yaml``.

    Parameters
    ----------
    name
        What to call it.
    data
        The mapping: title, tables, and figures with value, unit, source and kind.
    origin
        Where it stands, for messages.

    Raises
    ------
    TableError
        As `load_engine`.
    """
    entries = dict(data)
    title, tables = str(entries.pop("title", name)), str(entries.pop("tables", ENGINES[0]))
    if tables not in ENGINES:
        raise TableError(unknown("kernel tables of engine", tables, ENGINES, origin))
    provenance = read_quantities(entries, origin)
    for key, entry in provenance.items():
        _check(key, entry, origin)
    missing = [key for key in _REQUIRED if key not in provenance]
    if missing:
        raise TableError(
            f"{origin} lacks {', '.join(missing)}. An engine profile states every figure of "
            f"hardware_specs/engines/vllm.yaml; moesim list engines shows them."
        )
    figures = {f"{key}{_SUFFIX[entry.unit]}": entry.value for key, entry in provenance.items()}
    return Engine(name=name, title=title, tables=tables, provenance=provenance, **figures)


def _check(key: str, entry: Quantity, origin: str) -> None:
    """Refuse a figure that no profile has, in another unit, or out of bounds."""
    units = _REQUIRED | _OPTIONAL
    if key not in units:
        raise TableError(unknown("figure", key, units, origin))
    if entry.unit != units[key]:
        raise TableError(f"{origin}: {key} is in {entry.unit!r}; state it in {units[key]!r}.")
    low, high = _BOUNDS.get(key, (0.0, sys.float_info.max))
    if not low <= entry.value <= high:
        within = f"{low:g} to {high:g}" if key in _BOUNDS else "a finite number, 0 or more"
        raise TableError(f"{origin}: {key} is {entry.value!r}; it must be {within}.")
