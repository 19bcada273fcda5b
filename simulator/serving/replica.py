"""One replica: continuous batching with chunked prefill, as one SimPy process.

The process yields one event per engine step. A step is planned, priced, waited for and committed;
the *emission ring* keeps that O(1) in the batch size. The ring has one cell per coming decode
step; a request that enters decode adds its whole trajectory to the cells of the steps it will
take part in (every resident takes part in every step), so a step only reads its own cell.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
import simpy

from simulator.costs.compiled import Window
from simulator.errors import InvariantError
from simulator.serving.request import Request
from simulator.trace.writer import BLOCK_ROWS, RowSink

Chunk = tuple[int, int]


class StepTimes(Protocol):
    """What a replica asks of the cost model (`costs.compiled.CompiledSteps`)."""

    query_tokens: int

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Time of a step without prefill, as a line over the summed context."""
        ...

    def mixed_s(self, requests: int, context_tokens: int, chunks: list[Chunk]) -> float:
        """Time of a step with prefill."""
        ...

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Distinct experts the step activates in one MoE layer."""
        ...


class Replica:
    """A replica of the served model.

    Parameters
    ----------
    env, index
        The SimPy environment, and the replica's number.
    costs
        Step times at the replica's draft length.
    kv_capacity_tokens
        KV cache entries it can hold.
    max_num_seqs, max_batched_tokens
        Scheduler limits.
    recv_interval
        Steps between two looks at the queue while anything runs.
    separate_prefill
        Whether prompts run in steps of their own, before decoding goes on.
    max_rounds
        Upper bound of the decode rounds of one request; sizes the ring.
    requests_trace, iterations_trace
        Where finished requests and steps are written.
    on_finish
        Called after a request's last token (a closed loop sends the next one).
    """

    def __init__(
        self,
        env: simpy.Environment,
        index: int,
        costs: StepTimes,
        *,
        kv_capacity_tokens: int,
        max_num_seqs: int,
        max_batched_tokens: int,
        recv_interval: int,
        separate_prefill: bool,
        max_rounds: int,
        requests_trace: RowSink,
        iterations_trace: RowSink,
        on_finish: Callable[[], None] | None = None,
    ) -> None:
        self._env = env
        self._index = index
        self._costs = costs
        self._kv_free_tokens = kv_capacity_tokens
        self._max_num_seqs = max_num_seqs
        self._max_batched_tokens = max_batched_tokens
        self._recv_interval = recv_interval
        self._separate_prefill = separate_prefill
        self._requests_trace = requests_trace
        self._iterations_trace = iterations_trace
        self._on_finish = on_finish
        self._waiting: deque[Request] = deque()
        self._prefilling: deque[Request] = deque()
        self._decoding = 0
        self._context_tokens = 0
        self._round = 0
        self._ring = np.zeros(1 << max_rounds.bit_length(), np.int64)
        self._mask = len(self._ring) - 1
        self._ends: defaultdict[int, list[Request]] = defaultdict(list)
        self._wake: simpy.Event | None = None
        env.process(self._serve())

    @property
    def outstanding(self) -> int:
        """Requests waiting or running."""
        return len(self._waiting) + self._running

    @property
    def _running(self) -> int:
        return len(self._prefilling) + self._decoding

    def submit(self, request: Request) -> None:
        """Queue a request; wakes the replica when it is idle."""
        self._waiting.append(request)
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        """Step after step: admit, plan, price, wait, commit. One event per step."""
        env, costs, trace = self._env, self._costs, self._iterations_trace
        interval = self._recv_interval
        rows = trace.rows
        iteration = 0
        priced, (base_s, slope_s, first, last, experts) = 0, Window(0.0, 0.0, 0, -1, 0.0)
        while True:
            start_s = env.now
            if self._waiting and (iteration % interval == 0 or not self._running):
                self._admit(start_s)
            requests, context_tokens = self._decoding, self._context_tokens
            if self._separate_prefill and self._prefilling:
                requests = context_tokens = 0
            chunks, prompt_tokens = self._plan_prefill(requests) if self._prefilling else (None, 0)
            if chunks:
                duration_s = costs.mixed_s(requests, context_tokens, chunks)
                priced, experts = 0, costs.active_experts(requests, prompt_tokens)
            elif requests:
                if requests != priced or not first <= context_tokens <= last:
                    window = costs.decode_window(requests, context_tokens)
                    priced, (base_s, slope_s, first, last, experts) = requests, window
                duration_s = base_s + slope_s * context_tokens
            else:
                yield from self._sleep()
                continue
            yield env.timeout(duration_s)
            emitted = self._advance_decode() if requests else 0
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
                    len(self._waiting),
                    experts,
                )
            )
            iteration += 1
            if len(rows) >= BLOCK_ROWS:
                trace.flush()

    def _sleep(self) -> Generator[simpy.Event, Any, None]:
        """Wait for a request. Nothing runs, so whatever waits must have fitted."""
        if self._waiting:
            raise InvariantError(
                f"replica {self._index} is idle but request {self._waiting[0].request_id} waits: "
                f"it needs {self._waiting[0].kv_tokens} of {self._kv_free_tokens} free KV tokens."
            )
        self._wake = self._env.event()
        yield self._wake
        self._wake = None

    def _admit(self, now_s: float) -> None:
        """Let requests in, first come first served, while sequences and KV tokens last."""
        waiting, running = self._waiting, self._running
        while waiting and running < self._max_num_seqs:
            request = waiting[0]
            if request.kv_tokens > self._kv_free_tokens:
                return
            self._kv_free_tokens -= request.kv_tokens
            request.admitted_s = now_s
            self._prefilling.append(waiting.popleft())
            running += 1

    def _plan_prefill(self, requests: int) -> tuple[list[Chunk], int]:
        """Share what decoding requests leave of the token budget among prompts, oldest first.

        Returns the chunks, and the prompt tokens in them.
        """
        budget = left = self._max_batched_tokens - requests * self._costs.query_tokens
        chunks: list[Chunk] = []
        for request in self._prefilling:
            if left <= 0:
                break
            start = request.prefilled_tokens
            end = min(request.prompt_tokens, start + left)
            chunks.append((start, end))
            left -= end - start
        return chunks, budget - left

    def _advance_decode(self) -> int:
        """Commit a decode round; return the tokens it emits."""
        this_round = self._round
        cell = this_round & self._mask
        emitted = self._ring.item(cell)
        self._ring[cell] = 0
        self._context_tokens += emitted
        self._round = this_round + 1
        for request in self._ends.pop(this_round, ()):
            self._decoding -= 1
            self._context_tokens -= request.kv_tokens
            self._finish(request)
        return emitted

    def _advance_prefill(self, chunks: list[Chunk]) -> int:
        """Commit prompt chunks; return the first tokens that finished prompts emit."""
        finished = 0
        prefilling = self._prefilling
        for _, end in chunks:
            request = prefilling[0]
            request.prefilled_tokens = end
            if end == request.prompt_tokens:
                prefilling.popleft()
                self._start_decode(request)
                finished += 1
        return finished

    def _start_decode(self, request: Request) -> None:
        """Emit the first token and lay the trajectory on the ring."""
        request.first_token_s = self._env.now
        emitted = request.emitted
        rounds = len(emitted)
        if not rounds:
            self._finish(request)
            return
        self._decoding += 1
        self._context_tokens += request.prompt_tokens + 1
        self._ends[self._round + rounds - 1].append(request)
        ring = self._ring
        start = self._round & self._mask
        wrapped = start + rounds - len(ring)
        if wrapped <= 0:
            ring[start : start + rounds] += emitted
        else:
            ring[start:] += emitted[:-wrapped]
            ring[:wrapped] += emitted[-wrapped:]

    def _finish(self, request: Request) -> None:
        """Free the cache, write the row, tell whoever waits for it."""
        self._kv_free_tokens += request.kv_tokens
        trace = self._requests_trace
        trace.rows.append(
            (
                request.request_id,
                self._index,
                request.arrival_s,
                request.admitted_s,
                request.first_token_s,
                self._env.now,
                request.prompt_tokens,
                request.output_tokens,
                len(request.emitted),
                request.accepted,
            )
        )
        if len(trace.rows) >= BLOCK_ROWS:
            trace.flush()
        if self._on_finish is not None:
            self._on_finish()
