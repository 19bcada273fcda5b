"""The serving engine's own costs: host work between kernels, launches, sampling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from simulator.hardware.gpu import Gpu
from simulator.quantities import Quantity, data_names, read_data, read_quantities

_PACKAGE = "simulator.hardware_specs.engines"


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine adds to the model's kernels. Times in seconds.

    Parameters
    ----------
    name, title, tables
        Key in ``hardware_specs/engines``, the name people use, and whose kernel tables serve it.
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
    front_end_request_s
        Time that the front end (HTTP, tokenizer) spends on one request at a time: requests that
        arrive together reach the scheduler one after another.
    front_end_s
        Delay between that and the scheduler's queue, for each request by itself.
    separate_prefill
        Whether prompts run in steps of their own, which decoding requests wait for; else they join
        decode steps (chunked prefill).
    reserved_output
        Share of the cache that running requests may yet take which the scheduler keeps free for
        them when it lets another in.
    memory_reserve, activation_reserve_bytes
        Share of GPU memory the engine leaves free, and bytes it keeps for activations.
    provenance
        Every figure above as it stands in the data file.
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
    front_end_request_s: float
    front_end_s: float
    reserved_output: float
    memory_reserve: float
    activation_reserve_bytes: float
    separate_prefill: bool
    provenance: dict[str, Quantity]

    def elementwise_s(self, moved_bytes: float, kernels: float, gpu: Gpu) -> float:
        """Time of memory-bound kernels: ``kernels * launch + bytes / (efficiency * bandwidth)``."""
        bandwidth = self.memory_efficiency * gpu.memory_bandwidth
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


@cache
def load_engine(name: str) -> Engine:
    """Load one engine by name.

    Raises
    ------
    TableError
        If there is no such engine, or a figure lacks its source.

    Examples
    --------
    >>> load_engine("vllm").plain_step_s
    0.00052
    """
    data = read_data(_PACKAGE, name, "engine")
    title, tables = str(data.pop("title")), str(data.pop("tables"))
    separate_prefill = data.pop("separate_prefill", False) is True
    provenance = read_quantities(data, f"hardware_specs/engines/{name}.yaml")
    units = {"s": "_s", "byte": "_bytes", "1": ""}
    figures = {f"{key}{units[entry.unit]}": entry.value for key, entry in provenance.items()}
    return Engine(
        name=name,
        title=title,
        tables=tables,
        separate_prefill=separate_prefill,
        provenance=provenance,
        **figures,
    )
