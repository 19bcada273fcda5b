"""One replica: continuous batching, chunked prefill and a paged KV cache, as one SimPy process.

The process yields one event per engine step. A step is planned (`serving.scheduler`), priced,
waited for and committed. What decodes is followed by a *stepper* (`serving.stepper`). Whoever gives
up, or waited too long, leaves between two steps (`serving.deadlines`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import simpy

from simulator.costs.curves import Window
from simulator.errors import InvariantError
from simulator.serving.deadlines import Deadlines
from simulator.serving.kv_cache import KvCache
from simulator.serving.queues import WaitingQueue
from simulator.serving.request import Request, request_row
from simulator.serving.scheduler import Chunk, Limits, Scheduler
from simulator.serving.stepper import Stepper
from simulator.serving.tick import Tick
from simulator.speculation.policies import DraftPolicy
from simulator.trace.schema import CANCELLED, FINISHED, REJECTED, TIMED_OUT
from simulator.trace.writer import BLOCK_ROWS, RowSink


class StepTimes(Protocol):
    """What a replica asks of the cost model (`costs.compiled.CompiledSteps`)."""

    gamma: int
    """Depth of the drafts."""
    query_tokens: int
    """Tokens that a decoding request may verify in a step: its draft and one more."""

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Time of a step without prefill, as a line over the summed context."""
        ...

    def mixed_s(self, requests: int, context_tokens: int, chunks: Sequence[Chunk]) -> float:
        """Time of a step with prefill."""
        ...

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Distinct experts the step activates in one MoE layer."""
        ...


class Follower(Protocol):
    """Waits out steps whose loads are drawn, if need be event by event."""

    def follow(self, duration_s: float) -> simpy.Event:
        """Start a step that step costs say takes so long; return what happens at its end."""
        ...

    def abandon(self) -> None:
        """Forget the step under way, if there is one: everything is lost."""
        ...


class Replica:
    """A replica of the served model.

    Parameters
    ----------
    env, index
        The SimPy environment, and the replica's number.
    costs
        Step times by draft length from 0 on; without a policy those of the one draft length alone.
    limits, cache, queue, stepper
        Its scheduler's limits, its KV cache, who waits, and who follows what decodes.
    policy
        Chooses the draft length of every step; None keeps to one.
    requests_trace, iterations_trace
        Where steps are written, and requests when they leave.
    on_leave
        Called when a request has left from here for whatever reason (a closed loop sends the next).
    hand_over
        Takes a request whose prefill is done, in place of decoding here (disaggregation). Its KV
        blocks are free at once.
    follower
        Waits out the steps; None: they take what step costs say.
    """

    def __init__(
        self,
        env: simpy.Environment,
        index: int,
        *,
        costs: Sequence[StepTimes],
        limits: Limits,
        cache: KvCache,
        queue: WaitingQueue,
        stepper: Stepper,
        policy: DraftPolicy | None,
        requests_trace: RowSink,
        iterations_trace: RowSink,
        on_leave: Callable[[Request], None] | None = None,
        hand_over: Callable[[Request], None] | None = None,
        follower: Follower | None = None,
    ) -> None:
        self._env = env
        self._index = index
        self._costs = costs
        self._limits = limits
        self._cache = cache
        query_tokens = {steps.gamma: steps.query_tokens for steps in costs}
        lookahead_tokens = costs[-1].query_tokens - 1
        self._longest_tokens = cache.total_blocks * cache.block_tokens - lookahead_tokens
        self._stepper = stepper
        self._scheduler = Scheduler(
            limits=limits,
            cache=cache,
            queue=queue,
            stepper=stepper,
            policy=policy,
            query_tokens=query_tokens,
        )
        self._requests_trace = requests_trace
        self._iterations_trace = iterations_trace
        self._on_leave = on_leave
        self._hand_over = hand_over
        self._follower = follower
        self._arrived: deque[Request] = deque()
        self._deadlines = Deadlines()
        self.outstanding = 0
        """Requests waiting, running or expected; a router of many replicas asks each of them."""
        self._expected = 0
        self._due_tokens = 0
        self._wake: simpy.Event | None = None
        self._process = env.process(self._serve())

    @property
    def index(self) -> int:
        """Its number."""
        return self._index

    @property
    def kv_usage(self) -> float:
        """Share of the KV blocks that are taken."""
        return 1.0 - self._cache.free_blocks / self._cache.total_blocks

    @property
    def outstanding_tokens(self) -> int:
        """Tokens that its requests have yet to prefill or emit."""
        return self._due_tokens - self._scheduler.tokens_behind

    def cached_tokens(self, request: Request) -> int:
        """Return the prompt tokens that its prefix cache holds of a request."""
        return self._scheduler.cached_tokens(request)

    def submit(self, request: Request) -> None:
        """Queue a request, or refuse it where the queue is full; wakes the replica if it is idle.

        Raises
        ------
        InvariantError
            If the request could not run even alone.
        """
        self._take(request)
        longest, timeout_s = self._limits.max_queue, self._limits.queue_timeout_s
        if longest is not None and len(self._arrived) + self._scheduler.waiting >= longest:
            self._leave(request, REJECTED, request.emitted_tokens, math.nan)
            return
        if timeout_s is not None and not request.admitted:
            self._deadlines.add(self._env.now + timeout_s, request, TIMED_OUT)
        self._arrived.append(request)

    def expect(self, request: Request) -> None:
        """Count in a request whose prefill was done elsewhere and that is on its way here.

        So a router that sends the next one knows of it. `accept` or `forgo` follows.
        """
        self._expected += 1
        self.outstanding += 1
        self._due_tokens += self._asked_tokens(request) - request.prefilled_tokens

    def forgo(self, request: Request) -> None:
        """Count out a request that was expected and is no longer on its way."""
        self._expected -= 1
        self.outstanding -= 1
        self._due_tokens -= self._asked_tokens(request) - request.prefilled_tokens

    def accept(self, request: Request) -> None:
        """Take a request that was expected: it waits for blocks, then decodes.

        Raises
        ------
        InvariantError
            If the request could not run even alone.
        """
        self.forgo(request)
        self._take(request)
        self._scheduler.join_prefilled(request)

    def evacuate(self) -> list[Request]:
        """Lose everything, as when the machine fails; return the requests that were here.

        They keep the tokens they have, and prefill them anew wherever they are submitted next. A
        step under way comes to nothing and leaves no row. Afterwards the replica is empty and
        idle, and serves whatever is submitted.
        """
        step = self._scheduler.running > 0
        found = [*self._scheduler.evacuate(), *self._arrived]
        self._arrived.clear()
        self.outstanding = self._expected = self._due_tokens = 0
        if step:
            self._process.interrupt("lost")
        return found

    def _take(self, request: Request) -> None:
        """Count a request in; wakes the replica if it is idle."""
        if request.max_tokens > self._longest_tokens:
            raise InvariantError(
                f"request {request.request_id} may hold {request.max_tokens} tokens besides drafts "
                f"where replica {self._index} has KV blocks for {self._longest_tokens}: it would "
                "wait for ever."
            )
        self.outstanding += 1
        self._due_tokens += self._asked_tokens(request)
        cancel_after_s = request.traits.cancel_after_s
        if cancel_after_s < math.inf:
            self._deadlines.add(request.arrival_s + cancel_after_s, request, CANCELLED)
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _asked_tokens(self, request: Request) -> int:
        """Return the tokens that a request has this replica prefill and emit, from start to end."""
        return request.prompt_tokens + (1 if self._hand_over else request.output_tokens)

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        """Step after step: plan, price, wait, commit. One event per step."""
        env, stepper, scheduler, cache = self._env, self._stepper, self._scheduler, self._cache
        arrived, prefilled, deadlines = self._arrived, scheduler.prefilled, self._deadlines.heap
        trace, rows = self._iterations_trace, self._iterations_trace.rows
        iteration, gamma, costs = 0, scheduler.gamma, self._costs[-1]
        priced, (base_s, slope_s, first, last, experts) = 0, Window(0.0, 0.0, 0, -1, 0.0)
        follower, wait, now_s = self._follower, self._waiter(), env.now
        while True:
            start_s = now_s
            if arrived or deadlines:
                self._look(iteration)
            requests, chunks = scheduler.plan(start_s)
            context_tokens = stepper.context_tokens if requests else 0
            prompt_tokens = emitted = 0
            if gamma != scheduler.gamma:
                priced, gamma, costs = 0, scheduler.gamma, self._costs[scheduler.gamma]
            if chunks:
                prompt_tokens = sum([end - start for start, end in chunks])
                duration_s = costs.mixed_s(requests, context_tokens, chunks)
                priced, experts = 0, costs.active_experts(requests, prompt_tokens)
            elif requests:
                if requests != priced or not first <= context_tokens <= last:
                    window = costs.decode_window(requests, context_tokens)
                    priced, (base_s, slope_s, first, last, experts) = requests, window
                duration_s = base_s + slope_s * context_tokens
            else:
                yield from self._idle()
                now_s = env.now
                continue
            kv_usage = 1.0 - cache.free_blocks / cache.total_blocks
            try:
                yield wait(duration_s)
            except simpy.Interrupt:  # everything is gone (`evacuate`)
                wait, now_s = self._waiter(), env.now
                continue
            # As SimPy adds them; a follower decides how long a step takes.
            now_s = start_s + duration_s if follower is None else env.now
            if requests:
                emitted, finished = stepper.advance(gamma)
                for request in finished:
                    self._finish(request)
            if chunks:
                emitted += self._start_decode(scheduler.advance_prefill(chunks))
            rows.append(
                (
                    self._index,
                    iteration,
                    start_s,
                    duration_s if follower is None else now_s - start_s,
                    requests,
                    costs.query_tokens,
                    prompt_tokens,
                    emitted,
                    context_tokens,
                    len(arrived) + scheduler.waiting + (len(prefilled) if prefilled else 0),
                    experts,
                    kv_usage,
                )
            )
            iteration += 1
            if len(rows) >= BLOCK_ROWS:
                trace.flush()

    def _waiter(self) -> Callable[[float], simpy.Event]:
        """Return what starts a step, given its duration, s; a step under way comes to nothing."""
        if self._follower is None:
            return Tick(self._env).after
        self._follower.abandon()
        return self._follower.follow

    def _look(self, iteration: int) -> None:
        """Let those wait that have arrived, and those leave that gave up or waited too long."""
        arrived, scheduler = self._arrived, self._scheduler
        if arrived and (iteration % self._limits.recv_interval == 0 or not scheduler.running):
            scheduler.join(arrived)
            arrived.clear()
        if not self._deadlines.heap:
            return
        for request, outcome in self._deadlines.due(self._env.now):
            if outcome == TIMED_OUT and request.admitted:
                continue
            if request in arrived:
                arrived.remove(request)
            elif not scheduler.drop(request):
                continue  # it is at another replica
            self._leave(request, outcome, request.emitted_tokens, math.nan)

    def _idle(self) -> Generator[simpy.Event, Any, None]:
        """Sleep until a request comes.

        Raises
        ------
        InvariantError
            If one is there: it would never be served.
        """
        here = self.outstanding - self._expected
        if here:
            if self._arrived:
                return  # sent by a closed loop while others left
            raise InvariantError(
                f"replica {self._index} sleeps beside {here} requests that it has."
            )
        self._wake = self._env.event()
        yield self._wake
        self._wake = None

    def _start_decode(self, requests: Sequence[Request]) -> int:
        """Emit the tokens that follow prefills, one each; return how many.

        After it a request decodes, here or elsewhere, or is finished.
        """
        for request in requests:
            if request.prefill_tokens == request.prompt_tokens:
                request.first_token_s = self._env.now
                request.prefill_replica = self._index
            if request.prefill_tokens == request.max_tokens:
                self._finish(request)
            elif self._hand_over is not None:
                self._scheduler.release(request, request.prefill_tokens)
                self.outstanding -= 1
                self._due_tokens -= self._asked_tokens(request)
                self._hand_over(request)
            else:
                self._stepper.enter(request)
        return len(requests)

    def _finish(self, request: Request) -> None:
        """Free the blocks; the request leaves with all of its output."""
        self._scheduler.release(request, request.max_tokens)
        self._leave(request, FINISHED, request.output_tokens, self._env.now)

    def _leave(self, request: Request, outcome: int, emitted: int, finish_s: float) -> None:
        """Write the row of a request that holds nothing any more; tell whoever waits for it."""
        request.left = True
        self.outstanding -= 1
        self._due_tokens -= self._asked_tokens(request)
        trace, now_s = self._requests_trace, self._env.now
        trace.rows.append(request_row(request, outcome, self._index, emitted, finish_s, now_s))
        if len(trace.rows) >= BLOCK_ROWS:
            trace.flush()
        if self._on_leave is not None:
            self._on_leave(request)
