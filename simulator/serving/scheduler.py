"""What a replica runs in its next step: who decodes, who comes in, and who has to go.

It schedules as vLLM does. Running requests come first and take the KV blocks that the step fills.
Where blocks run out, a request that the queue's policy chooses loses its own and goes back to the
head of the queue, to prefill its prompt and its output so far anew (preemption by recompute). Then
new requests come in, while tokens, sequences and blocks last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from simulator.serving.kv_cache import KvCache
from simulator.serving.prefix_cache import PrefixCache
from simulator.serving.queues import WaitingQueue
from simulator.serving.request import Request
from simulator.serving.stepper import Stepper
from simulator.speculation.policies import DraftPolicy, Telemetry

Chunk = tuple[int, int]
"""First and last token of a prompt, the latter excluded, that a step prefills."""


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
    max_queue
        Requests that may wait; whoever comes then is refused. None: no limit.
    queue_timeout_s
        How long a request may wait to come in at first. None: for ever.
    """

    max_num_seqs: int
    max_batched_tokens: int
    recv_interval: int = 1
    separate_prefill: bool = False
    reserved_output: float = 0.0
    max_queue: int | None = None
    queue_timeout_s: float | None = None


class Scheduler:
    """Plans the steps of a replica.

    Parameters
    ----------
    limits, cache, queue, stepper
        What it keeps to, the KV cache, who waits, and who follows what decodes.
    policy
        Chooses the draft length of every step; None keeps to one.
    query_tokens
        Tokens that a decoding request verifies, by draft length; the last is the longest, and
        without a policy the only one.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        cache: KvCache,
        queue: WaitingQueue,
        stepper: Stepper,
        policy: DraftPolicy | None,
        query_tokens: Mapping[int, int],
    ) -> None:
        self.waiting = 0
        """How many requests wait."""
        self.gamma = max(query_tokens)
        """Draft length of the step planned last."""
        self.prefilling: list[Request] = []
        self.prefilled: deque[Request] = deque()
        """Requests that were prefilled elsewhere and wait for blocks."""
        self._limits = limits
        self._separate_prefill = limits.separate_prefill
        self._reserved_output = limits.reserved_output
        self._cache = cache
        self._queue = queue
        self._stepper = stepper
        self._policy = policy
        self._query_tokens = query_tokens
        self._lookahead_tokens = query_tokens[self.gamma] - 1
        self._prefix: PrefixCache | None = None  # until a request shares a prefix
        self._promised_blocks = 0

    @property
    def running(self) -> int:
        """How many requests prefill or decode."""
        return len(self.prefilling) + self._stepper.requests

    @property
    def tokens_behind(self) -> int:
        """Tokens prefilled and emitted, of the requests it has; none of those lost."""
        prefilled = sum(
            [request.prefilled_tokens for request in (*self.prefilling, *self.prefilled)]
        )
        return self._stepper.context_tokens + prefilled

    def join(self, requests: Collection[Request]) -> None:
        """Let requests wait."""
        join = self._queue.join
        for request in requests:
            join(request)
            if request.traits.prefix:
                self._share_prefixes()
        self.waiting += len(requests)

    def join_prefilled(self, request: Request) -> None:
        """Let a request wait for blocks that was prefilled elsewhere; then it decodes."""
        self.prefilled.append(request)
        if request.traits.prefix:
            self._share_prefixes()

    def cached_tokens(self, request: Request) -> int:
        """Return the prompt tokens that it need not compute if it came in now."""
        return self._prefix.find(request) * self._cache.block_tokens if self._prefix else 0

    def _share_prefixes(self) -> None:
        """Start caching prefixes, once there is a request that has one."""
        if self._prefix is None:
            self._prefix = PrefixCache(self._cache)

    def plan(self, now_s: float) -> tuple[int, Sequence[Chunk]]:
        """Decide on the coming step; return how many requests decode in it, and its prompt chunks.

        Nobody comes in beside a request that had to go.
        """
        stepper, cache = self._stepper, self._cache
        if self.prefilled:
            self._take_over()
        if self._separate_prefill:
            chunks = self._plan_prefill(self._limits.max_batched_tokens, None, now_s)
            if chunks:
                return 0, chunks
        blocks, room = 0, True
        if stepper.requests:
            if self._policy is not None:
                waiting = self.waiting + len(self.prefilling) + len(self.prefilled)
                self.gamma = self._policy.decide(
                    Telemetry(
                        stepper.requests,
                        stepper.context_tokens,
                        self.gamma,
                        stepper.accepted,
                        waiting,
                        now_s,
                    )
                )
            blocks = stepper.blocks_needed(self.gamma)
            if blocks > cache.free_blocks:
                blocks, room = self._make_room(), False
            cache.free_blocks -= blocks
        if not (self.waiting or self.prefilling) or self._separate_prefill:
            return stepper.requests, ()
        queries = stepper.requests * self._query_tokens[self.gamma]
        budget_tokens = self._limits.max_batched_tokens - queries
        chunks = self._plan_prefill(budget_tokens, blocks, now_s, room=room)
        return stepper.requests, chunks

    def _make_room(self) -> int:
        """Let requests go until the coming decode step has its blocks; return how many it needs."""
        while (blocks := self._stepper.blocks_needed(self.gamma)) > self._cache.free_blocks:
            self._preempt()
        return blocks

    def _preempt(self) -> Request:
        """Put a request back to the head of the queue, its blocks and their content lost."""
        running = [*self._stepper.residents(), *self.prefilling]
        request = running[self._queue.victim(running)]
        self._stop(request)
        request.preemptions += 1
        request.set_back()
        self._queue.rejoin(request)
        self.waiting += 1
        return request

    def _stop(self, request: Request) -> None:
        """Take a running request out, and its blocks back."""
        if request in self.prefilling:
            self.prefilling.remove(request)
            self.release(request, request.prefilled_tokens)
        else:
            self._stepper.evict(request)
            self.release(request, request.prefill_tokens - 1)

    def _plan_prefill(
        self, budget_tokens: int, decode_blocks: int | None, now_s: float, *, room: bool = True
    ) -> Sequence[Chunk]:
        """Share a token budget among prompts, in the order of the queue; return their chunks.

        A prompt takes the blocks of a chunk when the chunk is planned. A new one comes in only
        while all of it fits (`_fits`), and if there is ``room``. ``decode_blocks`` are set aside
        for the requests that decode in this step; None if it is for prompts alone.
        """
        prefilling = self.prefilling
        chunks: list[Chunk] = []
        left = budget_tokens
        # A prompt that does not fit a budget uses it up. So one at most is under way, and it is
        # the last that came in.
        if prefilling and left > 0:
            waiting = self.waiting
            chunk = self._continue(prefilling[0], left, decode_blocks)
            if chunk is None:
                return ()
            chunks.append(chunk)
            left -= chunk[1] - chunk[0]
            room = room and self.waiting == waiting  # else somebody had to go
        seats = self._limits.max_num_seqs - self.running if room else 0
        while self.waiting and left > 0 and seats > 0:
            request = self._queue.head()
            found = self._prefix.find(request) if self._prefix else 0
            if not self._fits(request, found):
                break
            prefilling.append(self._queue.pop())
            self.waiting -= 1
            seats -= 1
            start = found * self._cache.block_tokens
            end = min(request.prefill_tokens, start + left)
            if found or self._reserved_output:
                self._hold(request, found)
            self._extend(request, end)
            request.prefilled_tokens = request.found_tokens = start
            if not request.admitted:
                request.admitted, request.admitted_s, request.cached_tokens = True, now_s, start
            chunks.append((start, end))
            left -= end - start
        return chunks

    def _hold(self, request: Request, found: int) -> None:
        """Let a request that comes in hold the first blocks that were found."""
        if self._reserved_output:
            self._promised_blocks += self._blocks_at_end(request)
        if self._prefix is not None:
            self._prefix.claim(request, found)
        request.blocks = found

    def _extend(self, request: Request, tokens: int) -> None:
        """Take the blocks that a request needs to hold so many tokens; they are free."""
        blocks = self._cache.blocks(tokens)
        self._cache.free_blocks -= blocks - request.blocks
        request.blocks = blocks
        if self._prefix is not None:
            self._prefix.register(request, tokens)

    def _continue(
        self, request: Request, budget_tokens: int, decode_blocks: int | None
    ) -> Chunk | None:
        """Plan the next chunk of a prompt under way; None if the prompt had to go instead."""
        cache, stepper = self._cache, self._stepper
        start = request.prefilled_tokens
        end = min(request.prefill_tokens, start + budget_tokens)
        while cache.blocks(end) - request.blocks > cache.free_blocks:
            if self._preempt() is request:
                return None
            # Who went would have decoded: what was set aside for the step is no longer right.
            if decode_blocks is not None:
                cache.give(decode_blocks)
                decode_blocks = stepper.blocks_needed(self.gamma)
                cache.take(decode_blocks)
        self._extend(request, end)
        return start, end

    def _take_over(self) -> None:
        """Let requests decode that were prefilled elsewhere, first come first served."""
        waiting = self.prefilled
        while waiting and self.running < self._limits.max_num_seqs:
            request = waiting[0]
            found = self._prefix.find(request) if self._prefix else 0
            if not self._fits(request, found):
                break
            self._hold(request, found)
            self._extend(request, request.prefill_tokens)
            self._stepper.enter(waiting.popleft())

    def _fits(self, request: Request, found: int) -> bool:
        """Tell whether a request may come in of which so many blocks were found in the cache.

        With the share s that is reserved, ``(1 - s) * now + s * at the end`` must not exceed the
        cache: the blocks taken with this prompt, and those that all who run will hold at their end
        if none are shared.
        """
        cache, share = self._cache, self._reserved_output
        blocks = cache.blocks(request.prefill_tokens)
        if self._prefix is not None:
            blocks -= self._prefix.in_use(request, found)
        if not share:
            return blocks <= cache.free_blocks
        taken = cache.total_blocks - cache.free_blocks + blocks
        promised = self._promised_blocks + self._blocks_at_end(request)
        return (1.0 - share) * taken + share * promised <= cache.total_blocks

    def _blocks_at_end(self, request: Request) -> int:
        return self._cache.blocks(request.max_tokens + self._lookahead_tokens)

    def advance_prefill(self, chunks: Sequence[Chunk]) -> Sequence[Request]:
        """Commit prompt chunks; return the requests whose prefill they complete."""
        prefilling = self.prefilling
        for request, (_, end) in zip(prefilling, chunks, strict=True):
            request.prefilled_tokens = end
        last = prefilling[-1]
        whole = len(chunks) - (last.prefilled_tokens < last.prefill_tokens)
        done = prefilling[:whole]
        del prefilling[:whole]
        return done

    def release(self, request: Request, computed_tokens: int) -> None:
        """Take back the blocks of a request that runs no longer, with so many tokens computed."""
        if self._prefix is None:
            self._cache.give(request.blocks)
        else:
            self._prefix.release(request, computed_tokens)
        if self._reserved_output:
            self._promised_blocks -= self._blocks_at_end(request)
        request.blocks = 0

    def drop(self, request: Request) -> bool:
        """Take out a request wherever it is, blocks and all; return whether it was here.

        Its next prefill then covers its tokens so far.
        """
        if self._queue.remove(request):
            self.waiting -= 1
        elif request in self.prefilled:
            self.prefilled.remove(request)
            request.keep_first_token()
        elif request in self.prefilling or request in self._stepper.residents():
            self._stop(request)
        else:
            return False
        return True

    def evacuate(self) -> list[Request]:
        """Take out all requests, in the order in which they would go on; the cache is empty."""
        found = [*self._stepper.residents(), *self.prefilling]
        for request in found:
            self._stop(request)
        for request in self.prefilled:
            request.keep_first_token()
        found.extend(self.prefilled)
        self.prefilled.clear()
        while self.waiting:
            found.append(self._queue.pop())
            self.waiting -= 1
        for request in found:
            request.set_back()
        self._cache.free_blocks = self._cache.total_blocks
        self._prefix = None
        return found
