"""What serves: pools of equal replicas, and what may change them on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep
from simulator.hardware.topology import Topology
from simulator.serving.cluster_config import MIXED, AutoscalingConfig, FailuresConfig
from simulator.serving.link_config import Degraded, DegradedLinkConfig, KvLinkConfig
from simulator.serving.queues import Fcfs, WaitingQueue
from simulator.serving.replica import StepTimes
from simulator.serving.ring import EmissionRing
from simulator.serving.scheduler import Limits
from simulator.serving.slots import SlotArray
from simulator.serving.stepper import Stepper
from simulator.speculation.policies import DraftPolicy
from simulator.streams import Streams

Taken = Callable[[DrawnStep], None]
"""Told of every step whose loads are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPlan:
    """How replicas draw the loads of their experts, and whether dispatch is followed in events.

    Parameters
    ----------
    new_steps
        Makes the step costs of a replica, by draft length as in `Deployment.costs`: from the
        streams of the run, its number, and what is told of every step.
    exchanged
        Bytes of the exchange around the experts.
    ranks
        Over how many ranks experts are spread.
    events
        Whether dispatch, experts and combine are events.
    parts
        Batches that a step is cut into, 2 if they overlap.
    topology
        Where a replica lies, on the first GPUs, in a cluster without a topology; None unless
        `events`.
    loads_every, links_interval_s
        As in the configuration (`experts.config.ExpertsConfig`).
    """

    new_steps: Callable[[Streams, int, Taken], Sequence[StepTimes]]
    exchanged: ExchangedBytes
    ranks: int
    events: bool
    parts: int
    topology: Topology | None
    loads_every: int
    links_interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Equal replicas: a whole cluster, or one of its pools.

    Parameters
    ----------
    costs
        Step times by draft length from 0 on, shared by the replicas; without a policy those of the
        one draft length alone.
    replicas
        How many.
    limits
        What the scheduler of each keeps to.
    kv_capacity_tokens, block_tokens
        KV cache of each, and the tokens of one of its blocks.
    new_queue
        Makes the waiting queue of a replica.
    prefix_cache
        Whether blocks of requests that left are kept for others that begin alike.
    new_policy
        Makes what chooses the draft length of every step of a replica; None keeps to one.
    front_end_request_s, front_end_s
        What the front end spends on a request, one at a time, and its delay behind that
        (`front_end.FrontEnd`), s; part of TTFT. A cluster has that of its first pool.
    role
        ``mixed``, ``prefill`` or ``decode`` (`cluster_config.PoolConfig`).
    gpus
        GPUs of each.
    kv_bytes_per_token, state_bytes
        What a prefill replica sends of a token, and of a request besides, bytes.
    dispatch
        How loads of experts are drawn; None: step costs are closed forms.
    """

    costs: Sequence[StepTimes]
    replicas: int
    limits: Limits
    kv_capacity_tokens: int
    block_tokens: int = 16
    new_queue: Callable[[], WaitingQueue] = Fcfs
    prefix_cache: bool = True
    new_policy: Callable[[], DraftPolicy] | None = None
    front_end_request_s: float = 0.0
    front_end_s: float = 0.0
    role: str = MIXED
    gpus: int = 1
    kv_bytes_per_token: float = 0.0
    state_bytes: float = 0.0
    dispatch: DispatchPlan | None = None

    @property
    def max_gamma(self) -> int:
        """The longest draft; without a policy every draft is as long."""
        return self.costs[-1].gamma

    @property
    def lookahead_tokens(self) -> int:
        """Most tokens of a draft; all of them take KV slots."""
        return self.costs[-1].query_tokens - 1

    def stepper(self, max_rounds: int, *, by_token: bool = False) -> Stepper:
        """Return who follows the decoding requests of a replica, at most ``max_rounds`` long.

        ``by_token`` is that of the acceptance model.
        """
        if self.new_policy is None:
            return EmissionRing(
                lookahead_tokens=self.lookahead_tokens,
                block_tokens=self.block_tokens,
                max_rounds=max_rounds,
                by_token=by_token,
            )
        return SlotArray(
            block_tokens=self.block_tokens,
            max_rounds=max_rounds,
            lookahead_tokens=[steps.query_tokens - 1 for steps in self.costs],
            by_token=by_token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """Pools behind a router.

    Parameters
    ----------
    pools
        At least one; all have the same draft lengths and block size. Replicas are numbered through
        them, and a scaled pool has numbers for the most that it may have.
    scaled
        Position of the pool that `autoscaling` scales.
    kv_link, degraded_links, autoscaling, failures
        As in the configuration; None for none.
    topology
        On whose GPUs the replicas stand; None for links of their own.
    """

    pools: Sequence[Deployment]
    scaled: int = 0
    kv_link: KvLinkConfig | None = None
    topology: Topology | None = None
    degraded_links: Sequence[DegradedLinkConfig] = ()
    autoscaling: AutoscalingConfig | None = None
    failures: FailuresConfig | None = None

    @property
    def changes(self) -> bool:
        """Whether the run has cluster events: losses, scaling, or a slower link."""
        return bool(self.dips) or self.autoscaling is not None or self.failures is not None

    @property
    def dips(self) -> Sequence[Degraded]:
        """Times in which a link is slower."""
        return self.kv_link.degraded if self.kv_link else self.degraded_links

    def places(self) -> list[range]:
        """Return the GPUs of each replica, numbered through them."""
        found: list[range] = []
        first = 0
        for position, pool in enumerate(self.pools):
            for _ in range(self.most_replicas(position)):
                found.append(range(first, first + pool.gpus))
                first += pool.gpus
        return found

    @property
    def link_names(self) -> tuple[str, ...]:
        """Names of the links that the run has, in the order of their numbers."""
        own = [pool.dispatch.topology for pool in self.pools if pool.dispatch]
        topology = next((one for one in (self.topology, *own) if one is not None), None)
        return tuple(topology.links) if topology else ()

    def most_replicas(self, position: int) -> int:
        """Return the most replicas that a pool has at once."""
        if self.autoscaling is not None and position == self.scaled:
            return self.autoscaling.max_replicas
        return self.pools[position].replicas
