"""One replica: continuous batching, chunked prefill and a paged KV cache, as one SimPy process.

The process yields one event per engine step. A step is planned, priced, waited for and committed.
What decodes is followed by a *stepper* (`serving.stepper`); the replica schedules around it as
vLLM does. Running requests come first and take the KV blocks that the step fills. Where blocks run
out, the request that came last loses its own and goes back to the head of the queue, to prefill
its prompt and its output so far anew (preemption by recompute). Then new requests come in, while
tokens, sequences and blocks last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import simpy

from simulator.costs.compiled import Window
from simulator.errors import InvariantError
from simulator.serving.kv_cache import KvCache
from simulator.serving.request import Request
from simulator.serving.stepper import Stepper
from simulator.speculation.policies import DraftPolicy, Telemetry
from simulator.trace.schema import FINISHED
from simulator.trace.writer import BLOCK_ROWS, RowSink

Chunk = tuple[int, int]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the scheduler of a replica keeps to.

    Parameters
    ----------
    max_num_seqs, max_batched_tokens
        Requests that run at once, and tokens that one step processes.
    recv_interval
        Steps between two looks at the arrivals while anything runs.
    separate_prefill
        Whether prompts run in steps of their own, before decoding goes on.
    reserved_output
        Share of the cache that running requests may yet take which is kept free for them when
        another comes in: at 0 some will have to go, at 1 none ever has to.
    """

    max_num_seqs: int
    max_batched_tokens: int
    recv_interval: int = 1
    separate_prefill: bool = False
    reserved_output: float = 0.0


class Replica:
    """A replica of the served model.

    Parameters
    ----------
    env, index
        The SimPy environment, and the replica's number.
    costs
        Step times by draft length from 0 on; without a policy those of the one draft length alone.
    limits, cache, stepper
        Its scheduler's limits, its KV cache, and who follows what decodes.
    policy
        Chooses the draft length of every step; None keeps to one.
    requests_trace, iterations_trace
        Where finished requests and steps are written.
    on_finish
        Called after a request's last token (a closed loop sends the next one).
    """

    def __init__(
        self,
        env: simpy.Environment,
        index: int,
        *,
        costs: Sequence[StepTimes],
        limits: Limits,
        cache: KvCache,
        stepper: Stepper,
        policy: DraftPolicy | None,
        requests_trace: RowSink,
        iterations_trace: RowSink,
        on_finish: Callable[[], None] | None = None,
    ) -> None:
        self._env = env
        self._index = index
        self._costs = costs
        self._gamma = costs[-1].gamma
        self._query_tokens = {steps.gamma: steps.query_tokens for steps in costs}
        self._lookahead_tokens = costs[-1].query_tokens - 1
        self._limits = limits
        self._cache = cache
        self._longest_tokens = cache.total_blocks * cache.block_tokens - self._lookahead_tokens
        self._stepper = stepper
        self._policy = policy
        self._requests_trace = requests_trace
        self._iterations_trace = iterations_trace
        self._on_finish = on_finish
        self._arrived: deque[Request] = deque()
        self._waiting: deque[Request] = deque()
        self._prefilling: list[Request] = []
        self._promised_blocks = 0
        self._wake: simpy.Event | None = None
        env.process(self._serve())

    @property
    def outstanding(self) -> int:
        """Requests waiting or running."""
        return len(self._arrived) + len(self._waiting) + self._running

    @property
    def _running(self) -> int:
        return len(self._prefilling) + self._stepper.requests

    def submit(self, request: Request) -> None:
        """Queue a request; wakes the replica when it is idle.

        Raises
        ------
        InvariantError
            If the request could not run even alone.
        """
        if request.max_tokens > self._longest_tokens:
            raise InvariantError(
                f"request {request.request_id} may hold {request.max_tokens} tokens besides drafts "
                f"where replica {self._index} has KV blocks for {self._longest_tokens}: it would "
                "wait for ever."
            )
        self._arrived.append(request)
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        """Step after step: plan, price, wait, commit. One event per step."""
        env, stepper, cache, trace = self._env, self._stepper, self._cache, self._iterations_trace
        interval, rows = self._limits.recv_interval, trace.rows
        iteration, gamma, costs = 0, self._gamma, self._costs[-1]
        priced, (base_s, slope_s, first, last, experts) = 0, Window(0.0, 0.0, 0, -1, 0.0)
        while True:
            start_s = env.now
            if self._arrived and (iteration % interval == 0 or not self._running):
                self._waiting.extend(self._arrived)
                self._arrived.clear()
            requests, chunks = self._plan()
            context_tokens = stepper.context_tokens if requests else 0
            prompt_tokens = emitted = 0
            if gamma != self._gamma:
                priced, gamma, costs = 0, self._gamma, self._costs[self._gamma]
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
                self._wake = env.event()
                yield self._wake
                self._wake = None
                continue
            kv_usage = 1.0 - cache.free_blocks / cache.total_blocks
            yield env.timeout(duration_s)
            if requests:
                emitted, finished = stepper.advance(gamma)
                for request in finished:
                    self._finish(request)
            if chunks:
                emitted += self._advance_prefill(chunks)
            rows.append(
                (
                    self._index,
                    iteration,
                    start_s,
                    duration_s,
                    requests,
                    costs.query_tokens,
                    prompt_tokens,
                    emitted,
                    context_tokens,
                    len(self._arrived) + len(self._waiting),
                    experts,
                    kv_usage,
                )
            )
            iteration += 1
            if len(rows) >= BLOCK_ROWS:
                trace.flush()

    def _plan(self) -> tuple[int, Sequence[Chunk]]:
        """Decide on the coming step; return how many requests decode in it, and its prompt chunks.

        Nobody comes in beside a request that had to go.
        """
        stepper, cache, limits = self._stepper, self._cache, self._limits
        if limits.separate_prefill:
            chunks = self._plan_prefill(limits.max_batched_tokens)
            if chunks:
                return 0, chunks
        if stepper.requests:
            if self._policy is not None:
                self._gamma = self._policy.decide(
                    Telemetry(
                        stepper.requests, stepper.context_tokens, self._gamma, stepper.accepted
                    )
                )
            blocks = stepper.blocks_needed(self._gamma)
            if blocks > cache.free_blocks:
                self._make_room()
                return stepper.requests, ()
            cache.free_blocks -= blocks
        if limits.separate_prefill or not (self._waiting or self._prefilling):
            return stepper.requests, ()
        query_tokens = stepper.requests * self._query_tokens[self._gamma]
        return stepper.requests, self._plan_prefill(limits.max_batched_tokens - query_tokens)

    def _make_room(self) -> None:
        """Take blocks for a decode step; until it fits, whoever came last goes."""
        stepper, cache = self._stepper, self._cache
        while (blocks := stepper.blocks_needed(self._gamma)) > cache.free_blocks:
            if self._prefilling:  # came after all that decode
                self._preempt(self._prefilling.pop())
            else:
                self._preempt(stepper.evict_last())
        cache.take(blocks)

    def _preempt(self, request: Request) -> None:
        """Put a request back to the head of the queue, its blocks and their content lost."""
        self._cache.give(request.blocks)
        self._promised_blocks -= self._blocks_at_end(request)
        request.set_back()
        self._waiting.appendleft(request)

    def _plan_prefill(self, budget_tokens: int) -> Sequence[Chunk]:
        """Share a token budget among prompts, first come first served; return their chunks.

        A prompt takes the blocks of a chunk when the chunk is planned. A new one comes in only
        while all of it fits (`_fits`).
        """
        cache, waiting, prefilling = self._cache, self._waiting, self._prefilling
        chunks: list[Chunk] = []
        left = budget_tokens
        # A prompt that does not fit a budget uses it up. So one at most is under way, and it is
        # the last that came in.
        if prefilling and left > 0:
            request = prefilling[0]
            start = request.prefilled_tokens
            end = min(request.prefill_tokens, start + left)
            blocks = cache.blocks(end) - request.blocks
            if blocks > cache.free_blocks:
                self._preempt(prefilling.pop())
                return ()
            cache.free_blocks -= blocks
            request.blocks += blocks
            chunks.append((start, end))
            left -= end - start
        running = self._running
        while waiting and left > 0 and running < self._limits.max_num_seqs:
            request = waiting[0]
            end = request.prefill_tokens
            blocks = cache.blocks(end)
            if not self._fits(request, blocks):
                break
            self._promised_blocks += self._blocks_at_end(request)
            if end > left:
                end = left
                blocks = cache.blocks(end)
            prefilling.append(waiting.popleft())
            running += 1
            if not request.preemptions:
                request.admitted_s = self._env.now
            cache.free_blocks -= blocks
            request.blocks = blocks
            chunks.append((0, end))
            left -= end
        return chunks

    def _fits(self, request: Request, blocks: int) -> bool:
        """Tell whether a request may come in whose prompt takes a number of blocks.

        With the share s that is reserved, ``(1 - s) * now + s * at the end`` must not exceed the
        cache: the blocks taken with this prompt, and those that all who run will hold at their end.
        """
        cache, share = self._cache, self._limits.reserved_output
        if not share:
            return blocks <= cache.free_blocks
        taken = cache.total_blocks - cache.free_blocks + blocks
        promised = self._promised_blocks + self._blocks_at_end(request)
        return (1.0 - share) * taken + share * promised <= cache.total_blocks

    def _blocks_at_end(self, request: Request) -> int:
        return self._cache.blocks(request.max_tokens + self._lookahead_tokens)

    def _advance_prefill(self, chunks: Sequence[Chunk]) -> int:
        """Commit prompt chunks; return the tokens that finished prompts emit."""
        prefilling = self._prefilling
        for request, (_, end) in zip(prefilling, chunks, strict=True):
            request.prefilled_tokens = end
        last = prefilling[-1]
        whole = len(chunks) - (last.prefilled_tokens < last.prefill_tokens)
        for request in prefilling[:whole]:
            self._start_decode(request)
        del prefilling[:whole]
        return whole

    def _start_decode(self, request: Request) -> None:
        """Emit the token that follows a prefill; after it the request decodes, or is finished."""
        if request.prefill_tokens == request.prompt_tokens:
            request.first_token_s = self._env.now
        if request.prefill_tokens == request.max_tokens:
            self._finish(request)
        else:
            self._stepper.enter(request)

    def _finish(self, request: Request) -> None:
        """Free the blocks, write the row, tell whoever waits for it."""
        self._cache.give(request.blocks)
        self._promised_blocks -= self._blocks_at_end(request)
        trace = self._requests_trace
        trace.rows.append(
            (
                request.request_id,
                request.traffic_class,
                request.tenant,
                FINISHED,
                self._index,
                self._index,
                request.arrival_s,
                request.admitted_s,
                request.first_token_s,
                self._env.now,
                self._env.now,
                request.prompt_tokens,
                request.cached_tokens,
                request.output_tokens,
                request.output_tokens,
                request.rounds,
                request.accepted,
                request.preemptions,
                request.recomputed_tokens,
                request.retries,
            )
        )
        if len(trace.rows) >= BLOCK_ROWS:
            trace.flush()
        if self._on_finish is not None:
            self._on_finish()
