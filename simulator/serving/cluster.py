"""A cluster run: arrivals, a router, replicas, and the trace they leave."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import simpy

from simulator.serving.front_end import FrontEnd
from simulator.serving.replica import Replica, StepTimes
from simulator.serving.request import Request
from simulator.serving.router import Router
from simulator.serving.trajectories import draw_trajectories, spans
from simulator.speculation.acceptance import Acceptance
from simulator.streams import Streams
from simulator.trace.writer import RowSink
from simulator.workload.requests import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What serves: replicas behind a router, at one draft length.

    Parameters
    ----------
    costs
        Step times at this draft length, shared by the replicas.
    replicas
        How many.
    kv_capacity_tokens, max_num_seqs, max_batched_tokens
        Limits of each replica.
    recv_interval
        Steps between two looks of a busy replica at its queue.
    front_end_request_s, front_end_s
        What the front end spends on a request, one at a time, and its delay behind that
        (`front_end.FrontEnd`), s; part of TTFT.
    separate_prefill
        Whether prompts run in steps of their own.
    """

    costs: StepTimes
    replicas: int
    kv_capacity_tokens: int
    max_num_seqs: int
    max_batched_tokens: int
    recv_interval: int = 1
    front_end_request_s: float = 0.0
    front_end_s: float = 0.0
    separate_prefill: bool = False


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
    requests = _requests(workload, acceptance, deployment.costs.query_tokens - 1, streams)
    front_end = FrontEnd(deployment.front_end_request_s, deployment.front_end_s)
    replicas: list[Replica] = []

    def submit(request: Request) -> None:
        # The clock and the workload's own figure can differ in the last bit, and no request may be
        # admitted before it arrives.
        request.arrival_s = min(request.arrival_s, env.now)
        replicas[router.choose(replicas)].submit(request)

    def send_next() -> None:
        request = next(requests, None)
        if request is None:
            return
        request.arrival_s = env.now
        if front_end.instant:
            submit(request)
        else:
            queued = env.timeout(front_end.queued_s(env.now) - env.now)
            queued.callbacks.append(lambda _: submit(request))

    new_replica = partial(
        Replica,
        env,
        costs=deployment.costs,
        kv_capacity_tokens=deployment.kv_capacity_tokens,
        max_num_seqs=deployment.max_num_seqs,
        max_batched_tokens=deployment.max_batched_tokens,
        recv_interval=deployment.recv_interval,
        separate_prefill=deployment.separate_prefill,
        max_rounds=workload.max_output_tokens,
        requests_trace=requests_trace,
        iterations_trace=iterations_trace,
        on_finish=None if workload.concurrency is None else send_next,
    )
    replicas.extend(new_replica(index=index) for index in range(deployment.replicas))
    if workload.concurrency is None:
        env.process(_arrivals(env, requests, submit, front_end))
    else:
        for _ in range(workload.concurrency):
            send_next()
    env.run()
    return next(env._eid)  # how SimPy's own benchmarks count events


def _requests(
    workload: Workload, acceptance: Acceptance, gamma: int, streams: Streams
) -> Iterator[Request]:
    """Turn blocks of the workload into requests that know their trajectory, lazily."""
    for number, block in enumerate(workload.blocks(streams)):
        generator = streams.block("acceptance", number)
        for span in spans(block.output_tokens):
            drawn = draw_trajectories(block.output_tokens[span], gamma, acceptance, generator)
            columns = zip(
                block.arrival_s[span].tolist(),
                block.prompt_tokens[span].tolist(),
                block.output_tokens[span].tolist(),
                drawn.starts,
                drawn.rounds,
                drawn.accepted,
                strict=True,
            )
            first_id = block.first_id + span.start
            for offset, (arrival_s, prompt, output, start, rounds, accepted) in enumerate(columns):
                emitted = drawn.emitted[start : start + rounds]
                yield Request(first_id + offset, arrival_s, prompt, output, emitted, accepted)


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
