"""What GPUs of a replica take to exchange tokens: as measured within a node, on links beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from simulator.errors import ConfigError
from simulator.hardware.collectives import COLLECTIVES, alone_s
from simulator.hardware.topology import Topology
from simulator.kernels.tables import KernelTables
from simulator.kernels.timing import Timing
from simulator.models.operators import Combine, Dispatch


@dataclass(frozen=True, slots=True)
class Exchange:
    """Prices collectives and the exchange around routed experts.

    Up to the GPUs of a node, times are those of the kernel tables. Beyond, a collective takes what
    its fastest algorithm does alone on the topology (`hardware.collectives`): latencies and bytes
    over peak bandwidths, without kernels, so a floor; its kind is ``"assumed"``.

    Parameters
    ----------
    tables
        Measured kernels of the GPU.
    topology
        Where the replica lies, on the first GPUs; None for one node.
    """

    tables: KernelTables
    topology: Topology | None = None

    def all_reduce(self, message_bytes: float, gpus: int) -> Timing:
        """Sum of a message over GPUs."""
        if gpus <= self.tables.gpu.node_gpus:
            return self.tables.all_reduce(message_bytes, gpus)
        return self._on_links("all_reduce", message_bytes, gpus)

    def all_gather(self, message_bytes: float, gpus: int) -> Timing:
        """Return the time until each GPU has ``message_bytes``, of which it held a share."""
        if gpus <= self.tables.gpu.node_gpus:
            return self.tables.all_gather(message_bytes, gpus)
        return self._on_links("all_gather", message_bytes, gpus)

    def reduce_scatter(self, message_bytes: float, gpus: int) -> Timing:
        """Sum of the ``message_bytes`` of each GPU, of which each ends with a share."""
        if gpus <= self.tables.gpu.node_gpus:
            return self.tables.reduce_scatter(message_bytes, gpus)
        return self._on_links("reduce_scatter", message_bytes, gpus)

    def routed(self, op: Dispatch | Combine, tokens_per_gpu: float) -> Timing:
        """Return the time that tokens take to the GPUs of their experts, or results back.

        Parameters
        ----------
        op
            What travels.
        tokens_per_gpu
            Tokens of each GPU, were all loaded like the busiest.
        """
        message_bytes = tokens_per_gpu * op.top_k * op.bytes_per_token
        return self._on_links("all_to_all", message_bytes, op.gpus)

    def _on_links(self, collective: str, message_bytes: float, gpus: int) -> Timing:
        if self.topology is None:
            raise ConfigError(
                f"{collective} over {gpus} GPUs goes beyond the {self.tables.gpu.node_gpus} of one "
                f"{self.tables.gpu.title} node; set hardware.topology."
            )
        lines = _lines(self.topology, collective, gpus)
        return Timing(min(fixed + message_bytes * each for fixed, each in lines), "assumed")


@lru_cache(maxsize=256)
def _lines(topology: Topology, collective: str, gpus: int) -> tuple[tuple[float, float], ...]:
    """Return latency, s, and time per byte, s, of every algorithm: alone, it is a line in size."""
    part, lines = topology.first(gpus), []
    for algorithm in COLLECTIVES[collective].values():
        if algorithm(part, 0.0):
            fixed = alone_s(part, algorithm(part, 0.0))
            lines.append((fixed, (alone_s(part, algorithm(part, 1e9)) - fixed) / 1e9))
    return tuple(lines)
