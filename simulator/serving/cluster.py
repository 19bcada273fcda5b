"""A cluster run: arrivals, a router, replicas, and the trace they leave."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import simpy

from simulator.serving.collector import collector_paused
from simulator.serving.front_end import FrontEnd
from simulator.serving.kv_cache import KvCache
from simulator.serving.prefix_cache import block_keys
from simulator.serving.queues import Fcfs, WaitingQueue
from simulator.serving.replica import Replica, StepTimes
from simulator.serving.request import PLAIN, Request, Traits
from simulator.serving.ring import EmissionRing
from simulator.serving.router import Router
from simulator.serving.scheduler import Limits
from simulator.serving.slots import SlotArray
from simulator.serving.stepper import Stepper
from simulator.serving.trajectories import Trajectory, draw_runs, lay_trajectories, spans
from simulator.speculation.acceptance import Acceptance
from simulator.speculation.policies import DraftPolicy
from simulator.streams import Streams
from simulator.trace.writer import RowSink
from simulator.workload.requests import RequestTraits, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What serves: replicas behind a router.

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
        (`front_end.FrontEnd`), s; part of TTFT.
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

    @property
    def max_gamma(self) -> int:
        """The longest draft; without a policy every draft is as long."""
        return self.costs[-1].query_tokens - 1

    def stepper(self, max_rounds: int) -> Stepper:
        """Return who follows the decoding requests of a replica, at most ``max_rounds`` long."""
        if self.new_policy is None:
            return EmissionRing(
                gamma=self.max_gamma, block_tokens=self.block_tokens, max_rounds=max_rounds
            )
        return SlotArray(block_tokens=self.block_tokens, max_rounds=max_rounds)


def serve(
    deployment: Deployment,
    router: Router,
    workload: Workload,
    acceptance: Acceptance,
    streams: Streams,
    *,
    requests_trace: RowSink,
    iterations_trace: RowSink,
) -> int:
    """Serve a workload to its last token.

    Parameters
    ----------
    deployment, router
        The cluster.
    workload, acceptance, streams
        What arrives, what is accepted, and the randomness of both.
    requests_trace, iterations_trace
        Where the run is written; the caller closes them.

    Returns
    -------
    int
        SimPy events scheduled: one per step, one per arrival at a time of its own (in a closed loop
        only if the front end takes time), and a few more.
    """
    env = simpy.Environment()
    requests = _requests(workload, acceptance, deployment, streams)
    front_end = FrontEnd(deployment.front_end_request_s, deployment.front_end_s)
    replicas: list[Replica] = []

    def submit(request: Request) -> None:
        # The clock and the workload's own figure can differ in the last bit, and no request may be
        # admitted before it arrives.
        request.arrival_s = min(request.arrival_s, env.now)
        replicas[router.choose(replicas)].submit(request)

    def send_next(_: Request | None = None) -> None:
        request = next(requests, None)
        if request is None:
            return
        request.arrival_s = env.now
        if front_end.instant:
            submit(request)
        else:
            queued = env.timeout(front_end.queued_s(env.now) - env.now)
            queued.callbacks.append(lambda _: submit(request))

    replicas.extend(
        Replica(
            env,
            index,
            costs=deployment.costs,
            limits=deployment.limits,
            cache=KvCache(deployment.kv_capacity_tokens, deployment.block_tokens),
            queue=deployment.new_queue(),
            stepper=deployment.stepper(workload.max_output_tokens),
            policy=deployment.new_policy() if deployment.new_policy else None,
            requests_trace=requests_trace,
            iterations_trace=iterations_trace,
            on_leave=None if workload.concurrency is None else send_next,
        )
        for index in range(deployment.replicas)
    )
    if workload.concurrency is None:
        env.process(_arrivals(env, requests, submit, front_end))
    else:
        for _ in range(workload.concurrency):
            send_next()
    with collector_paused():
        env.run()
    return next(env._eid)  # how SimPy's own benchmarks count events


def _requests(
    workload: Workload, acceptance: Acceptance, deployment: Deployment, streams: Streams
) -> Iterator[Request]:
    """Turn blocks of the workload into requests that know what is accepted of them, lazily."""
    for number, block in enumerate(workload.blocks(streams)):
        generator = streams.block("acceptance", number)
        for span in spans(block.output_tokens):
            prompts, outputs = block.prompt_tokens[span], block.output_tokens[span]
            runs = draw_runs(outputs, deployment.max_gamma, acceptance, generator)
            trajectories: Iterable[Trajectory | None] = repeat(None, len(outputs))
            if deployment.new_policy is None:
                trajectories = lay_trajectories(
                    runs,
                    outputs,
                    prompts + 1,
                    outputs - 1,
                    gamma=deployment.max_gamma,
                    block_tokens=deployment.block_tokens,
                )
            columns = (block.arrival_s[span].tolist(), prompts.tolist(), outputs.tolist())
            request_id, end = block.first_id + span.start, 0
            for arrival_s, prompt, output, trajectory, its in zip(
                *columns, trajectories, _traits(block.traits, span, deployment), strict=True
            ):
                start, end = end, end + output
                yield Request(
                    request_id, arrival_s, prompt, output, runs[start:end], trajectory, its
                )
                request_id += 1


def _traits(traits: RequestTraits | None, span: slice, deployment: Deployment) -> Iterable[Traits]:
    """Return the traits of a part of a block, request by request."""
    if traits is None:
        return repeat(PLAIN, span.stop - span.start)
    columns = (
        traits.traffic_class,
        traits.tenant,
        traits.priority,
        traits.session,
        traits.cancel_after_s,
    )
    keys: Iterable[tuple[int, ...]] = repeat(())
    if deployment.prefix_cache:
        keys = (
            block_keys(hashes, traits.hash_tokens, deployment.block_tokens)
            for hashes in traits.prefixes[span]
        )
    return map(Traits, *(column[span].tolist() for column in columns), keys)


def _arrivals(
    env: simpy.Environment,
    requests: Iterator[Request],
    submit: Callable[[Request], None],
    front_end: FrontEnd,
) -> Generator[simpy.Event, Any, None]:
    """Submit every request when the front end has dealt with it."""
    for request in requests:
        delay_s = front_end.queued_s(request.arrival_s) - env.now
        if delay_s > 0:
            yield env.timeout(delay_s)
        submit(request)
