"""What the benchmarks ask of a machine: facts about it, and the time of one run of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulator.kernels.microbench.cells import Cell
from simulator.quantities import Quantity

Call = Callable[[], object]
"""Runs a prepared cell once."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of the machine without timing it.

    Parameters
    ----------
    title
        The processor, as it calls itself.
    memory, cache
        Memory of the device and its last-level cache, bytes.
    backend, version
        Framework that runs the kernels, and its version.
    setting
        How it was set up, in words: threads, instruction sets.
    cautions
        What to know before the figures are trusted.
    """

    title: str
    memory: Quantity
    cache: Quantity
    backend: str
    version: str
    setting: str
    cautions: tuple[str, ...] = ()


class Device(Protocol):
    """A machine that runs cells."""

    @property
    def machine(self) -> Machine:
        """Facts about it."""
        ...

    def prepare(self, cell: Cell) -> Call:
        """Make the operands of a cell; what comes back runs it once."""
        ...

    def kernel(self, cell: Cell) -> str:
        """Name what runs a cell."""
        ...

    def time(self, call: Call) -> float:
        """Run once with cold caches and return the time, s."""
        ...
