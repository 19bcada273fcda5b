"""The machine through PyTorch: its processor, or a CUDA GPU.

Times are those of one call after the caches were flushed: a buffer larger than the last-level cache
is written before every repeat, because a model's weights and cache come from memory in every step.

The CUDA form is written after the manuals and has run on no GPU yet; it says so in what it writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from simulator.errors import ConfigError, unknown
from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.device import Call, Device, Machine
from simulator.kernels.microbench.processor import (
    busy,
    last_level_cache,
    main_memory,
    processor_title,
)
from simulator.kernels.microbench.torch_operators import KERNELS, TorchOperators
from simulator.quantities import Quantity

FLUSH_CACHES = 2
"""Size of the buffer that flushes, in last-level caches."""

_HOPPER = (9, 0)
"""First compute capability whose grouped products need not ask the host, so can be captured."""

EMULATED = (
    "This device has no bfloat16 instructions: bfloat16 products are converted to float32 on the "
    "way, so that they read half the bytes but compute slowly. The tables hold what bfloat16 "
    "really takes here."
)

UNTESTED = (
    "CUDA times are untested: this code ran on no GPU yet. Compare a few with what you know "
    "before you trust them."
)


def load_torch() -> Any:
    """Import PyTorch.

    Raises
    ------
    ConfigError
        If it is not installed, or too old.
    """
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise ConfigError(
            "moesim calibrate kernels runs kernels with PyTorch, which is not installed. "
            "Install it: pip install 'moesim[measure]'"
        ) from error
    if not hasattr(torch.nn.functional, "grouped_mm"):
        raise ConfigError(
            f"PyTorch {torch.__version__} has no grouped products (torch.nn.functional.grouped_mm)."
            " Install 2.10 or later: pip install -U 'moesim[measure]'"
        )
    return torch


def open_device(name: str) -> Device:
    """Return the device of a name, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        If there is no such device here, or no PyTorch.
    """
    if name not in DEVICES:
        raise ConfigError(unknown("device", name, DEVICES))
    torch = load_torch()
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device=cuda, but PyTorch {torch.__version__} sees no CUDA GPU. Take device=cpu, or "
            "install a driver and a CUDA build of PyTorch (https://pytorch.org/get-started)."
        )
    return DEVICES[name](torch)


class Processor:
    """The cores that PyTorch is set to use, timed by the monotonic clock.

    Parameters
    ----------
    torch
        The module. Its number of threads is the user's and stays as it is.
    """

    def __init__(self, torch: Any) -> None:
        self._operators = TorchOperators(torch, "cpu")
        cache = last_level_cache()
        self._machine = Machine(
            title=processor_title(),
            memory=main_memory(),
            cache=cache,
            backend="torch",
            version=str(torch.__version__),
            setting=f"{torch.get_num_threads()} threads, {_instructions(torch)}",
            cautions=_cautions(torch),
        )
        self._flush = torch.zeros(int(FLUSH_CACHES * cache.value), dtype=torch.uint8)

    @property
    def machine(self) -> Machine:
        """Facts about it."""
        return self._machine

    def prepare(self, cell: Cell) -> Call:
        """Make the operands of a cell."""
        return self._operators.prepare(cell)

    def kernel(self, cell: Cell) -> str:
        """Name what runs a cell."""
        return KERNELS[cell.operator]

    def time(self, call: Call) -> float:
        """Flush the caches, run, and return the time, s."""
        self._flush.add_(1)  # reads and writes every line
        start_s = time.perf_counter()
        call()
        return time.perf_counter() - start_s


def _instructions(torch: Any) -> str:
    return f"{torch.backends.cpu.get_cpu_capability()} kernels, {_short_format(torch)}"


def _short_format(torch: Any) -> str:
    if torch.cpu._is_amx_tile_supported():
        return "bfloat16 on AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return "bfloat16 on AVX512-BF16"
    return "bfloat16 without instructions for it"


def _cautions(torch: Any) -> tuple[str, ...]:
    emulated = EMULATED if "without" in _short_format(torch) else None
    return tuple(caution for caution in (emulated, busy()) if caution)


class CudaGpu:
    """A CUDA GPU, timed by events around a captured graph: kernels without their launches.

    Parameters
    ----------
    torch
        The module, which sees a GPU.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._operators = TorchOperators(torch, "cuda")
        facts = torch.cuda.get_device_properties(0)
        self._capability = torch.cuda.get_device_capability(0)
        driver = "CUDA device properties"
        short = torch.cuda.is_bf16_supported(including_emulation=False)
        cache = Quantity(float(facts.L2_cache_size), "byte", driver, "measured")
        self._machine = Machine(
            title=str(facts.name),
            memory=Quantity(float(facts.total_memory), "byte", driver, "measured"),
            cache=cache,
            backend="torch",
            version=str(torch.__version__),
            setting=f"CUDA {torch.version.cuda}",
            cautions=(UNTESTED,) if short else (UNTESTED, EMULATED),
        )
        size = int(FLUSH_CACHES * cache.value)
        self._flush = torch.zeros(size, dtype=torch.uint8, device="cuda")

    @property
    def machine(self) -> Machine:
        """Facts about it."""
        return self._machine

    def kernel(self, cell: Cell) -> str:
        """Name what runs a cell."""
        return KERNELS[cell.operator] + ("" if self._captured(cell) else ", eager")

    def _captured(self, cell: Cell) -> bool:
        if cell.operator == "experts":
            return bool(self._capability >= _HOPPER)
        return cell.operator != "launch"

    def prepare(self, cell: Cell) -> Call:
        """Make the operands of a cell, and capture it in a graph where that is possible."""
        call = self._operators.prepare(cell)
        if not self._captured(cell):
            return call
        cuda = self._torch.cuda
        side = cuda.Stream()  # warm up apart, as the manual of graphs asks for
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(2):
                call()
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            call()

        def replay() -> None:
            graph.replay()

        replay.operands = call  # type: ignore[attr-defined]  # the graph reads their memory
        return replay

    def time(self, call: Call) -> float:
        """Flush the caches, run between two events, wait, and return the time between them, s."""
        cuda = self._torch.cuda
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        self._flush.add_(1)
        cuda.synchronize()
        start.record()
        call()
        end.record()
        cuda.synchronize()
        return float(start.elapsed_time(end)) / 1000


DEVICES: dict[str, Callable[[Any], Device]] = {"cpu": Processor, "cuda": CudaGpu}
"""Devices that can be timed, by name."""
