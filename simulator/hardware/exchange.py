"""Dispatch and combine of routed experts as transfers on a topology: the two kinds of DeepEP.

``deepep_low_latency``
    Every copy of a token goes straight to the GPU of its expert, over whatever lies between.
``deepep_high_throughput``
    A token goes to another node once, over the rail to the GPU of its own place there, and on from
    there over the links of the node to each GPU that has one of its experts, once. A node passes on
    what has come while the rest is still coming.

Routing is even: a token's experts are distinct, and any set of them is as likely as any other.
A combine sends back what a dispatch sent: the partial sums of a node go over the rail as one.
Source of both kinds: DeepEP (github.com/deepseek-ai/DeepEP), README; DeepSeek-V3 report, 3.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod

from simulator.errors import ConfigError, unknown
from simulator.hardware.collectives import Line, Sent, Steps, line, over_rails
from simulator.hardware.topology import Topology

LOW_LATENCY, HIGH_THROUGHPUT = KINDS = ("deepep_low_latency", "deepep_high_throughput")
"""Kinds of exchange, by vLLM's names for the back ends (``--all2all-backend``)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who exchanges tokens with whom.

    Parameters
    ----------
    kind
        One of `KINDS`.
    gpus, nodes
        GPUs that the experts are spread over, and the nodes (islands of a topology) these fill.
    top_k, experts
        Experts of a token, and of the layer.
    """

    kind: str
    gpus: int
    nodes: int
    top_k: int
    experts: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown("kind of exchange", self.kind, KINDS))
        if self.gpus < 1 or self.nodes < 1 or self.gpus % self.nodes:
            raise ConfigError(f"{self.gpus} GPUs do not fill {self.nodes} nodes evenly.")
        if not 1 <= self.top_k <= self.experts:
            raise ConfigError(f"top_k={self.top_k} is not in 1..{self.experts} experts.")

    @property
    def copies_to_gpu(self) -> float:
        """Copies of a token that reach one of the GPUs, in the mean.

        K / n straight; once per GPU that has an expert of the token, the chance of that.

        Examples
        --------
        >>> Exchange("deepep_low_latency", 64, 8, top_k=8, experts=256).copies_to_gpu
        0.125
        >>> round(Exchange("deepep_high_throughput", 64, 8, 8, 256).copies_to_gpu, 3)
        0.12
        """
        if self.kind == LOW_LATENCY:
            return self.top_k / self.gpus
        return self._chance(self.gpus)

    @property
    def copies_to_node(self) -> float:
        """Copies of a token that reach one of the nodes from another, in the mean."""
        if self.kind == LOW_LATENCY:
            return self.top_k / self.nodes
        return self._chance(self.nodes)

    @property
    def copies(self) -> float:
        """Copies of a token that leave over the narrowest links: to other nodes, or other GPUs.

        Examples
        --------
        >>> Exchange("deepep_low_latency", 8, 1, top_k=8, experts=256).copies
        7.0
        """
        if self.nodes > 1:
            return self.copies_to_node * (self.nodes - 1)
        return self.copies_to_gpu * (self.gpus - 1)

    def _chance(self, parts: int) -> float:
        """Return the chance that one of so many equal parts of all experts has one of a token's.

        1 - C(E - E/p, K) / C(E, K), also where E/p is no whole number.
        """
        part = self.experts / parts
        missed = (max(0.0, 1 - part / (self.experts - drawn)) for drawn in range(self.top_k))
        return 1.0 - prod(missed)


def dispatch_steps(topology: Topology, exchange: Exchange, size_bytes: float) -> list[Steps]:
    """Return the transfers that take every GPU's tokens to their experts; none with one GPU.

    Parameters
    ----------
    topology
        With exactly the GPUs of the exchange (`Topology.first`).
    exchange
        Who exchanges.
    size_bytes
        Of the tokens that each GPU holds, each counted once, bytes.

    Raises
    ------
    ConfigError
        If the topology has other GPUs or islands than the exchange.
    """
    _check(topology, exchange)
    gpus = range(exchange.gpus)
    to_gpu_bytes = size_bytes * exchange.copies_to_gpu
    straight = [Sent(one, to, to_gpu_bytes) for one in gpus for to in gpus if one != to]
    if not straight:
        return []
    if exchange.kind == LOW_LATENCY or exchange.nodes == 1:
        return [Steps(1, straight)]
    to_node_bytes = size_bytes * exchange.copies_to_node
    return over_rails(topology, to_node_bytes, exchange.nodes * to_gpu_bytes)


def combine_steps(topology: Topology, exchange: Exchange, size_bytes: float) -> list[Steps]:
    """Return the transfers that bring the results back: those of the dispatch, turned round."""
    return [
        Steps(times, [Sent(to, one, sent_bytes) for one, to, sent_bytes in sent])
        for times, sent in reversed(dispatch_steps(topology, exchange, size_bytes))
    ]


def _check(topology: Topology, exchange: Exchange) -> None:
    if (topology.gpus, topology.islands) != (exchange.gpus, exchange.nodes):
        raise ConfigError(
            f"an exchange over {exchange.gpus} GPUs in {exchange.nodes} nodes does not fit "
            f"{topology.gpus} GPUs of {topology.title}, which are {topology.islands}."
        )


@cache
def exchange_line(topology: Topology, exchange: Exchange) -> Line:
    """Return an exchange as a line over the bytes of each GPU's tokens, alone: alpha-beta.

    The closed form of `dispatch_steps` and, where links are equal both ways, `combine_steps`.

    Parameters
    ----------
    topology
        With at least the GPUs of the exchange.
    exchange
        Who exchanges.

    Examples
    --------
    Eight H100 send seven eighths of eight copies over 450 GB/s:

    >>> from simulator.hardware.topology import load_topology
    >>> exchange = Exchange("deepep_low_latency", 8, 1, top_k=8, experts=256)
    >>> round(exchange_line(load_topology("nvswitch_h100"), exchange).s_per_byte * 450e9, 6)
    7.0
    """
    part = topology.first(exchange.gpus)
    found = line(part, exchange.kind, lambda links, size: dispatch_steps(links, exchange, size))
    return found or Line(exchange.kind, 0.0, 0.0)
