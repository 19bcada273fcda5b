"""The question side of the tables of collectives: measured in one node, and on links beyond it.

Beyond the numbers of GPUs that were measured, a collective takes what it takes over the most that
were, and what the closed forms of a topology say that the others add (alpha-beta, the fastest
algorithm of each; `hardware.collectives`)::

    T(n, m) = T(n0, m) + F(n, m) - F(n0, m)

T(n0, m) - F(n0, m) is what a library's kernel takes beyond its links at their peak, and stays; over
nodes F(n, m) - F(n0, m) is for the most part what the network takes. Such times are ``"assumed"``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.hardware.collectives import fastest
from simulator.hardware.exchange import Exchange
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology
from simulator.kernels.collective import CollectiveTable
from simulator.kernels.exchange import COMBINE, COMBINE_BYTES, DISPATCH, DISPATCH_BYTES
from simulator.kernels.measured import MeasuredTables
from simulator.kernels.stand_in import over_links
from simulator.kernels.timing import Timing


@dataclass(frozen=True, slots=True)
class CommunicationTables:
    """What collectives and exchanges cost between GPUs of one kind.

    Parameters
    ----------
    gpu
        The GPU asked about, which goes over its own NVLink.
    engine
        Serving engine, one of `schema.ENGINES`.
    """

    gpu: Gpu
    engine: str
    _sets: tuple[MeasuredTables, ...]
    _chosen: dict[tuple[str, str, str, int], MeasuredTables] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _first(
        self, operator: str, dtype: str = "bfloat16", key: str = "", value: int = 0
    ) -> MeasuredTables:
        """Return the first set that holds a format, there with one value of a key.

        Where none holds both, the first that holds the format; where none does, vLLM's.
        """
        asked = operator, dtype, key, value
        chosen = self._chosen.get(asked)
        if chosen is None:
            wanted = [s for s in self._sets if s.holds(operator, dtype, key, value)]
            wanted += [s for s in self._sets if s.holds(operator, dtype)]
            chosen = self._chosen[asked] = wanted[0] if wanted else self._sets[-1]
        return chosen

    def all_reduce(
        self, message_bytes: float, gpus: int, topology: Topology | None = None
    ) -> Timing:
        """Sum of a message over the GPUs of a tensor-parallel group.

        The engine's own all-reduce or NCCL's, whichever is the faster: engines choose by the size
        of the message.

        Parameters
        ----------
        message_bytes
            What every GPU brings, bytes.
        gpus
            How many take part.
        topology
            What links them; asked where so many were not measured.

        Raises
        ------
        TableError
            If that number of GPUs was not measured and there is no topology; the message names
            those that were. So do the other collectives, which are NCCL's under every engine.
        """
        own = self._first("all_reduce", key="gpus", value=gpus).all_reduce
        tables = (own, self._sets[-1].nccl["all_reduce"])
        able = [table for table in tables if gpus in table.gpus]
        times = [
            self._collective("all_reduce", table, message_bytes, gpus, topology)
            for table in able or ([own] if topology is None else tables)
        ]
        return min(times, key=lambda timing: timing.seconds)

    def all_gather(
        self, message_bytes: float, gpus: int, topology: Topology | None = None
    ) -> Timing:
        """NCCL's gather: each GPU ends with ``message_bytes``, of which it held a share."""
        return self._nccl("all_gather", message_bytes, gpus, topology)

    def reduce_scatter(
        self, message_bytes: float, gpus: int, topology: Topology | None = None
    ) -> Timing:
        """NCCL's sum of the ``message_bytes`` of each GPU; each ends with a share of it."""
        return self._nccl("reduce_scatter", message_bytes, gpus, topology)

    def nccl_all_to_all(
        self, message_bytes: float, gpus: int, topology: Topology | None = None
    ) -> Timing:
        """NCCL's exchange: each GPU sends ``message_bytes``, a share to each, itself included."""
        return self._nccl("all_to_all", message_bytes, gpus, topology)

    def dispatch(
        self,
        tokens_per_gpu: float,
        *,
        hidden: int,
        top_k: int,
        experts: int,
        gpus: int,
        nodes: int,
        mode: str,
        dtype_bytes: float = DISPATCH_BYTES,
        topology: Topology | None = None,
    ) -> Timing:
        """DeepEP's dispatch: every GPU's tokens to the GPUs of their experts, routed evenly.

        Parameters
        ----------
        tokens_per_gpu
            Tokens that each GPU holds.
        hidden, top_k, experts
            Width of a token, its experts, and the experts of the layer.
        gpus, nodes
            GPUs that the experts are spread over, and nodes of one NVLink domain that these fill.
        mode
            ``deepep_low_latency`` or ``deepep_high_throughput`` (`hardware.exchange`).
        dtype_bytes
            Bytes of an element: fp8 with its scales if not said.
        topology
            What links the nodes; asked for numbers of nodes that were not measured.

        Raises
        ------
        TableError
            If DeepEP was not measured on this GPU, or over so many nodes and there is no topology.
        ConfigError
            If the topology has other nodes, or the sizes make no sense.

        Notes
        -----
        ``"measured"`` for models and GPUs of the table, ``"fitted"`` for other models,
        ``"assumed"`` for other numbers of GPUs (`kernels.exchange`).
        """
        exchange = Exchange(mode, gpus, nodes, top_k, experts)
        return self._exchange(DISPATCH, tokens_per_gpu, exchange, hidden, dtype_bytes, topology)

    def combine(
        self,
        tokens_per_gpu: float,
        *,
        hidden: int,
        top_k: int,
        experts: int,
        gpus: int,
        nodes: int,
        mode: str,
        dtype_bytes: float = COMBINE_BYTES,
        topology: Topology | None = None,
    ) -> Timing:
        """DeepEP's combine: the results of each GPU's tokens back to it; as `dispatch`."""
        exchange = Exchange(mode, gpus, nodes, top_k, experts)
        return self._exchange(COMBINE, tokens_per_gpu, exchange, hidden, dtype_bytes, topology)

    def _exchange(
        self,
        phase: str,
        tokens: float,
        exchange: Exchange,
        hidden: int,
        element_bytes: float,
        topology: Topology | None,
    ) -> Timing:
        table = self._sets[-1].exchange
        return table.at(phase, tokens, exchange, hidden, element_bytes, self.gpu, topology)

    def _nccl(
        self, name: str, message_bytes: float, gpus: int, topology: Topology | None
    ) -> Timing:
        table = self._sets[-1].nccl[name]
        return self._collective(name, table, message_bytes, gpus, topology)

    def _collective(
        self,
        name: str,
        table: CollectiveTable,
        message_bytes: float,
        gpus: int,
        topology: Topology | None,
    ) -> Timing:
        measured_gpus = gpus
        if topology is not None and gpus not in (1, *table.gpus):
            # Rows are of one node: they stand for no more than an island.
            fewer = [n for n in table.gpus if n < gpus and n <= topology.island_gpus]
            measured_gpus = max(fewer, default=gpus)
        timing, empty = table.at(message_bytes, measured_gpus), table.at(0.0, measured_gpus)
        timing = over_links(timing, empty, self._sets[-1].gpu, self.gpu)
        if topology is None or measured_gpus == gpus:
            return timing
        far_s, near_s = (
            fastest(topology.first(count), name, message_bytes).seconds
            for count in (gpus, measured_gpus)
        )
        return Timing(timing.seconds + max(0.0, far_s - near_s), "assumed")
