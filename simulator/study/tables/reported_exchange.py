"""Times of DeepEP as its authors report them, beside what the tables say: nothing was made of them.

Over eight GPUs the reported kernels went over the network inside a node too, which later ones do
not; that row is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from simulator.hardware.exchange import LOW_LATENCY
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.exchange import PHASES
from simulator.kernels.tables import KernelTables
from simulator.mapping import from_mapping
from simulator.quantities import Quantity, read_data
from simulator.units import US

_PACKAGE = "simulator.hardware_specs.wide_ep"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRow:
    """Times over so many GPUs."""

    gpus: Quantity
    dispatch: Quantity
    combine: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedExchange:
    """The data file: one model on one kind of GPU and network."""

    gpu: str
    topology: str
    hidden: Quantity
    top_k: Quantity
    experts: Quantity
    tokens: Quantity
    rows: tuple[ReportedRow, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """A reported time and ours.

    Parameters
    ----------
    phase, gpus
        Of which exchange.
    reported_s, ours_s
        Times, s.
    kind
        How ours is known.
    """

    phase: str
    gpus: int
    reported_s: float
    ours_s: float
    kind: str

    @property
    def error(self) -> float:
        """Ours over the reported, less one."""
        return self.ours_s / self.reported_s - 1


@cache
def reported_exchange() -> ReportedExchange:
    """Read ``hardware_specs/wide_ep/deepep.yaml``."""
    data = read_data(_PACKAGE, "deepep", "reported times")
    return from_mapping(ReportedExchange, data, f"{_PACKAGE}.deepep")


def beside_reported() -> list[Beside]:
    """Return every reported time with what the tables say there."""
    reported = reported_exchange()
    tables = KernelTables.load(load_gpu(reported.gpu))
    topology = load_topology(reported.topology)
    shape = {
        "hidden": int(reported.hidden.value),
        "top_k": int(reported.top_k.value),
        "experts": int(reported.experts.value),
        "mode": LOW_LATENCY,
    }
    found = []
    for row in reported.rows:
        gpus = int(row.gpus.value)
        nodes = topology.first(gpus).islands
        for phase in PHASES:
            ask = getattr(tables, phase)
            timing = ask(reported.tokens.value, gpus=gpus, nodes=nodes, topology=topology, **shape)
            told: Quantity = getattr(row, phase)
            found.append(Beside(phase, gpus, told.value * US, timing.seconds, timing.kind))
    return found
