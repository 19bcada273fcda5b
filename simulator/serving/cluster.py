"""A cluster run: arrivals, a router, replicas, and the trace they leave."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Protocol

import simpy

from simulator.serving.autoscaling import Autoscaler
from simulator.serving.changes import Change
from simulator.serving.cluster_config import DECODE, PREFILL
from simulator.serving.collector import collector_paused
from simulator.serving.deployment import ClusterPlan, Deployment
from simulator.serving.disaggregation import HandOver, KvLink, Wire
from simulator.serving.failures import Failures
from simulator.serving.follow_ups import FollowUps
from simulator.serving.front_end import FrontEnd
from simulator.serving.incoming import incoming
from simulator.serving.kv_cache import KvCache
from simulator.serving.kv_routes import KvRoutes
from simulator.serving.link_config import KvLinkConfig
from simulator.serving.pools import Desk, Fleet, Slot, State
from simulator.serving.replica import Follower, Replica
from simulator.serving.request import Request, request_row
from simulator.serving.router import NewRouter, uniforms
from simulator.serving.step_followers import DispatchTraces, StepFollowers
from simulator.serving.tick import Tick
from simulator.speculation.acceptance import Acceptance
from simulator.streams import Streams
from simulator.trace.schema import END, FAILED, LINK_BACK, LINK_SLOWER, LOST
from simulator.trace.writer import BLOCK_ROWS, RowSink
from simulator.workload.requests import Workload


def serve(
    deployment: Deployment,
    new_router: NewRouter,
    workload: Workload,
    acceptance: Acceptance,
    streams: Streams,
    *,
    requests_trace: RowSink,
    iterations_trace: RowSink,
) -> int:
    """Serve a workload to its last token with equal replicas that stay as they are.

    Parameters and what is returned are those of `Cluster` and its `run`.
    """
    return Cluster(
        ClusterPlan(pools=(deployment,)),
        new_router,
        workload,
        acceptance,
        streams,
        requests_trace=requests_trace,
        iterations_trace=iterations_trace,
    ).run()


class Neighbours(Protocol):
    """What lives beside a cluster, in its time and perhaps on its GPUs."""

    def move_in(self, env: simpy.Environment) -> None:
        """Set up in the environment of a run, before the replicas."""
        ...

    def follower(self, index: int) -> Follower | None:
        """Return what waits out the steps of a replica, if it shares its GPUs."""
        ...


class Cluster:
    """One run of a cluster.

    Events of one instant happen in this order: first what changes the cluster (`changes.Change`),
    then steps, arrivals and transfers as they were scheduled.

    Parameters
    ----------
    plan, new_router
        The replicas, and what makes the router in front of them.
    workload, acceptance, streams
        What arrives, what is accepted, and the randomness of both.
    requests_trace, iterations_trace, events_trace
        Where the run is written; the caller closes them. Events come only where the plan changes.
    dispatch_traces
        Where loads of experts are written, times of steps and bytes by link, if they are followed.
    neighbours
        What lives beside it; the run ends when they have nothing left to do, too.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        new_router: NewRouter,
        workload: Workload,
        acceptance: Acceptance,
        streams: Streams,
        *,
        requests_trace: RowSink,
        iterations_trace: RowSink,
        events_trace: RowSink | None = None,
        dispatch_traces: DispatchTraces | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        first = plan.pools[0]
        entry_role = next(pool.role for pool in plan.pools if pool.role != DECODE)
        self._env = env = simpy.Environment()
        self._plan = plan
        self._neighbours = neighbours
        if neighbours is not None:
            neighbours.move_in(env)
        self._workload = workload
        self._by_token = acceptance.by_token
        self._follow_ups: FollowUps | None = None
        self._requests = self._incoming(incoming(workload, acceptance, first, streams))
        self._front_end = FrontEnd(first.front_end_request_s, first.front_end_s)
        self._traces = requests_trace, iterations_trace
        self._events_trace = events_trace
        self._followers = StepFollowers(env, plan, streams, dispatch_traces or DispatchTraces())
        self._left = self._due = 0
        self._all_left = env.event()
        self._entry = Desk(
            new_router(uniforms(streams, "router")), Replica.submit, partial(self._hold, entry_role)
        )
        self._hand_over = HandOver(
            env,
            self._build_wire(),
            new_router(uniforms(streams, "decode_router")),
            nobody=partial(self._hold, DECODE),
            arrived=lambda sender: self._stop_later(self._fleet.slots[sender]),
        )
        self._desks = {entry_role: self._entry, DECODE: self._hand_over.desk}
        self._fleet = self._build_fleet()
        self._failures = plan.failures and Failures(
            env, self._fleet, plan.failures, streams, self._lose
        )
        self._autoscaler = self._build_autoscaler()

    def run(self) -> int:
        """Serve the workload until every request has left.

        Returns
        -------
        int
            SimPy events scheduled: one per step, one per arrival at a time of its own (in a closed
            loop only if the front end takes time), and a few more.
        """
        env, workload = self._env, self._workload
        self._open()
        if self._follow_ups is not None:
            env.process(self._sessions(self._follow_ups))
        elif workload.concurrency is None:
            env.process(self._arrivals())
        else:
            for _ in range(workload.concurrency):
                self._send_next()
        # What changes a cluster goes on for ever; otherwise the loop ends by itself.
        with collector_paused():
            env.run(until=self._all_left if self._plan.changes else None)
        if self._plan.changes:
            self._close()
        self._followers.close()
        return next(env._eid)  # how SimPy's own benchmarks count events

    def _incoming(self, requests: Iterator[Request]) -> Iterator[Request]:
        """Look at the first request: if it can follow others, so can the rest."""
        first = next(requests, None)
        if first is None:
            return requests
        if first.traits.follows is not None:
            self._follow_ups = FollowUps(self._env, self._send)
        return chain((first,), requests)

    def _build_wire(self) -> Wire:
        plan, network = self._plan, self._followers.network
        if network is None:
            return KvLink(self._env, plan.kv_link or KvLinkConfig())
        return KvRoutes(self._env, network, plan.places(), plan.degraded_links)

    def _build_fleet(self) -> Fleet:
        slots: list[Slot] = []
        for position, pool in enumerate(self._plan.pools):
            scaled = self._plan.autoscaling is not None and position == self._plan.scaled
            for _ in range(self._plan.most_replicas(position)):
                slots.append(Slot(self._build_replica(len(slots), pool), pool, scaled))
        return Fleet(
            self._env, slots, self._desks, ready=self._ready, busy=self._busy, note=self._note
        )

    def _build_replica(self, index: int, pool: Deployment) -> Replica:
        on_leave: Callable[[Request], None] | None = None
        if self._plan.changes:
            on_leave = partial(self._leave, index)
        elif self._follow_ups is not None:
            on_leave = self._follow_ups.left
        elif self._workload.concurrency is not None:
            on_leave = self._send_next
        hand_over = self._hand_over.from_replica(index, pool) if pool.role == PREFILL else None
        costs, follower = self._followers.of(index, pool)
        if self._neighbours is not None:
            follower = self._neighbours.follower(index) or follower
        return Replica(
            self._env,
            index,
            costs=costs,
            limits=pool.limits,
            cache=KvCache(pool.kv_capacity_tokens, pool.block_tokens),
            queue=pool.new_queue(),
            stepper=pool.stepper(self._workload.max_output_tokens, by_token=self._by_token),
            policy=pool.new_policy() if pool.new_policy else None,
            requests_trace=self._traces[0],
            iterations_trace=self._traces[1],
            on_leave=on_leave,
            hand_over=hand_over,
            follower=follower,
        )

    def _build_autoscaler(self) -> Autoscaler | None:
        plan = self._plan
        if plan.autoscaling is None:
            return None
        slots = [slot for slot in self._fleet.slots if slot.scaled]
        desk = self._desks[slots[0].pool.role]
        return Autoscaler(self._env, self._fleet, plan.autoscaling, desk, slots)

    def _open(self) -> None:
        """Let the replicas serve that are there at first, and plan what is known."""
        count = 0
        for position, pool in enumerate(self._plan.pools):
            first, count = count, count + self._plan.most_replicas(position)
            for slot in self._fleet.slots[first : first + pool.replicas]:
                self._fleet.serve(slot)
        for dip in self._plan.dips:
            Change(self._env, dip.at_s, partial(self._note, LINK_SLOWER))
            Change(self._env, dip.at_s + dip.for_s, partial(self._note, LINK_BACK))

    def _close(self) -> None:
        """Say which replicas are there when the last request leaves."""
        for slot in self._fleet.slots:
            if slot.state in (State.STARTING, State.SERVING, State.DRAINING):
                self._note(END, slot)

    def _submit(self, request: Request) -> None:
        # The clock and the workload's own figure can differ in the last bit, and no request may be
        # admitted before it arrives.
        request.arrival_s = min(request.arrival_s, self._env.now)
        self._entry.send(request)

    def _arrivals(self) -> Generator[simpy.Event, Any, None]:
        """Submit every request when the front end has dealt with it."""
        env, front_end, tick = self._env, self._front_end, Tick(self._env)
        for request in self._requests:
            delay_s = front_end.queued_s(request.arrival_s) - env.now
            if delay_s > 0:
                yield tick.after(delay_s)
            self._submit(request)

    def _sessions(self, follow_ups: FollowUps) -> Generator[simpy.Event, Any, None]:
        """Let every request come when it is the earliest time for it."""
        env, tick = self._env, Tick(self._env)
        for request in self._requests:
            delay_s = request.arrival_s - env.now
            if delay_s > 0:
                yield tick.after(delay_s)
            follow_ups.come(request)

    def _send_next(self, _: Request | None = None) -> None:
        """Let a user of a closed loop send its next request.

        A request may leave in the act of sending it, refused or failed: the next one follows here,
        not from within.
        """
        self._due += 1
        if self._due > 1:
            return
        while self._due:
            request = next(self._requests, None)
            if request is not None:
                self._send_after(request.traits.think_s, request)
            self._due -= 1

    def _send_after(self, think_s: float, request: Request) -> None:
        """Send a request of a closed loop when its user has thought."""
        if think_s == 0.0:
            self._send(request)
        else:
            thought = self._env.timeout(think_s)
            thought.callbacks.append(lambda _: self._send(request))

    def _send(self, request: Request) -> None:
        env, front_end = self._env, self._front_end
        request.arrival_s = env.now
        if front_end.instant:
            self._submit(request)
        else:
            queued = env.timeout(front_end.queued_s(env.now) - env.now)
            queued.callbacks.append(lambda _: self._submit(request))

    def _ready(self, slot: Slot) -> None:
        """Give a replica that takes requests now what was held for want of one."""
        if self._failures:
            self._failures.arm(slot)
        self._desks[slot.pool.role].release()

    def _busy(self, replica: Replica) -> bool:
        return bool(replica.outstanding) or self._hand_over.involves(replica)

    def _stop_later(self, slot: Slot) -> None:
        """Stop a draining replica that has nothing left, once the step that ends is committed."""
        if slot.state is State.DRAINING:
            Change(self._env, 0.0, partial(self._fleet.stop_if_done, slot))

    def _leave(self, index: int, request: Request) -> None:
        """Account for a request that has left a replica of a changing cluster for good."""
        if self._autoscaler:
            self._autoscaler.observe(request)
        self._stop_later(self._fleet.slots[index])
        self._count(request)

    def _count(self, request: Request) -> None:
        """Count a request that has left; the last one ends the run."""
        if self._follow_ups is not None:
            self._follow_ups.left(request)
        self._left += 1
        if self._left == self._workload.requests:
            self._all_left.succeed()
        if self._workload.concurrency is not None:
            self._send_next()

    def _hold(self, role: str, request: Request) -> None:
        """Keep a request for which there is no replica, if one will come."""
        if self._fleet.coming(role):
            self._desks[role].held.append(request)
        else:
            self._give_up(role, request)

    def _give_up(self, role: str, request: Request) -> None:
        """Fail a request for which no replica of a role will come."""
        if role == DECODE:
            request.keep_first_token()
        self._fail(request)

    def _lose(self, slot: Slot, repair_s: float | None) -> None:
        """Lose a replica; try its requests anew, elsewhere or when it is back."""
        moving = self._hand_over.abandon(slot.replica)
        requests = [*self._fleet.lose(slot, repair_s), *moving]
        self._note(LOST, slot, requests)
        for request in requests:
            self._retry(request, slot.index)
        for role, desk in self._desks.items():
            if not self._fleet.coming(role):
                held, desk.held = desk.held, deque()
                for request in held:
                    self._give_up(role, request)
        for draining in self._fleet.slots:
            self._stop_later(draining)

    def _retry(self, request: Request, lost: int) -> None:
        if self._plan.failures is None or request.retries >= self._plan.failures.max_retries:
            self._fail(request, lost)
        else:
            request.begin_anew()
            self._entry.send(request)

    def _fail(self, request: Request, replica: int = -1) -> None:
        """Let a request leave that no replica will serve; ``replica`` lost it, if any."""
        request.left = True
        row = request_row(request, FAILED, replica, request.emitted_tokens, math.nan, self._env.now)
        trace = self._traces[0]
        trace.rows.append(row)
        if len(trace.rows) >= BLOCK_ROWS:
            trace.flush()
        self._count(request)

    def _note(self, event: int, slot: Slot | None = None, lost: Sequence[Request] = ()) -> None:
        """Write an event, of a replica or of the link."""
        if self._events_trace is not None:
            index, gpus = (slot.index, slot.pool.gpus) if slot else (-1, 0)
            tokens = sum(request.emitted_tokens for request in lost)
            self._events_trace.rows.append((self._env.now, event, index, gpus, len(lost), tokens))
