"""Step costs of the replicas of a run, and who waits their steps out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import simpy

from simulator.errors import InvariantError
from simulator.hardware.link_network import LinkNetwork
from simulator.hardware.topology import Topology
from simulator.serving.deployment import ClusterPlan, Deployment, DispatchPlan
from simulator.serving.drawn_steps import DrawnSteps
from simulator.serving.expert_loads import LoadRows
from simulator.serving.layer_events import EventSteps, ExchangeLinks
from simulator.serving.link_meter import LinkMeter
from simulator.serving.replica import Follower, StepTimes
from simulator.streams import Streams
from simulator.trace.writer import RowSink


class DispatchTraces(NamedTuple):
    """Where a run writes what concerns the loads of experts; None for nowhere.

    Parameters
    ----------
    expert_loads, step_times, links
        Of the tables of these names.
    """

    expert_loads: RowSink | None = None
    step_times: RowSink | None = None
    links: RowSink | None = None


class StepFollowers:
    """Makes what a replica of a run needs where the loads of experts are drawn.

    Replicas on the topology of the cluster share its links, with transfers of keys and values too;
    others have links of their own.

    Parameters
    ----------
    env
        The SimPy environment.
    plan
        The cluster.
    streams
        Random streams of the run.
    traces
        Where loads, times of steps, and links are written.
    """

    def __init__(
        self,
        env: simpy.Environment,
        plan: ClusterPlan,
        streams: Streams,
        traces: DispatchTraces,
    ) -> None:
        self._env, self._plan, self._streams = env, plan, streams
        self._traces = traces
        self._meters: list[LinkMeter] = []
        self.network: LinkNetwork | None = None
        """The links of the cluster; None without a topology."""
        if plan.topology is not None:
            used = [pool.dispatch for pool in plan.pools if pool.dispatch and pool.dispatch.events]
            self.network = self._links(plan.topology, used[0] if used else None)

    def of(self, index: int, pool: Deployment) -> tuple[Sequence[StepTimes], Follower | None]:
        """Return the step costs of a replica, and who waits its steps out, None for itself."""
        dispatch = pool.dispatch
        if dispatch is None:
            return pool.costs, None
        traces = self._traces
        rows = LoadRows(
            index, dispatch.exchanged, dispatch.loads_every, traces.expert_loads, traces.step_times
        )
        follower: DrawnSteps | EventSteps = DrawnSteps(self._env, rows)
        if dispatch.events:
            links = self._exchange_links(index, dispatch)
            follower = EventSteps(self._env, links, dispatch.ranks, dispatch.parts, rows)
        return dispatch.new_steps(self._streams, index, follower.take), follower

    def close(self) -> None:
        """Write what the last interval of the run has."""
        for meter in self._meters:
            meter.close()

    def _exchange_links(self, index: int, dispatch: DispatchPlan) -> ExchangeLinks:
        if self.network is not None:
            gpus: Sequence[int] = self._plan.places()[index]
            return ExchangeLinks(self.network, gpus, dispatch.exchanged)
        if dispatch.topology is None:
            raise InvariantError(f"replica {index} follows events, but lies on no topology.")
        network = self._links(dispatch.topology, dispatch, index)
        return ExchangeLinks(network, range(dispatch.topology.gpus), dispatch.exchanged)

    def _links(
        self, topology: Topology, dispatch: DispatchPlan | None, replica: int = -1
    ) -> LinkNetwork:
        """Return links, metered where somebody wants to know."""
        if dispatch is None or self._traces.links is None:
            return LinkNetwork(self._env, topology)
        interval_s = dispatch.links_interval_s
        meter = LinkMeter(self._env, topology, interval_s, self._traces.links, replica)
        self._meters.append(meter)
        return LinkNetwork(self._env, topology, meter.add)
