"""Prefix caching: against a model that moves every block by itself, and in whole runs."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, make_traits
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.kv_cache import KvCache
from simulator.serving.prefix_cache import PrefixCache, block_keys
from simulator.serving.queues import QUEUES
from simulator.serving.request import Request, Traits
from simulator.speculation.policies import Fixed
from simulator.trace.schema import FINISHED

BLOCK = 4


class Pool:
    """vLLM's block pool, block by block: a queue of free blocks, each with what it still holds."""

    def __init__(self, blocks):
        self.free = list(range(blocks))
        self.key = [None] * blocks
        self.users = [0] * blocks
        self.table = {}

    def where(self, key):
        return next((block for block, held in enumerate(self.key) if held == key), None)

    def find(self, keys, tokens):
        for index, key in enumerate(keys[: (tokens - 1) // BLOCK]):
            if self.where(key) is None:
                return index
        return min(len(keys), (tokens - 1) // BLOCK)

    def claim(self, number, keys):
        self.table[number] = [self.where(key) for key in keys]
        for block in self.table[number]:
            if block in self.free:
                self.free.remove(block)
            self.users[block] += 1

    def take(self, number, blocks):
        for _ in range(blocks):
            block = self.free.pop(0)
            self.key[block] = None
            self.users[block] = 1
            self.table[number].append(block)

    def register(self, number, keys, tokens):
        for key, block in zip(keys[: tokens // BLOCK], self.table[number], strict=False):
            if self.where(key) is None:
                self.key[block] = key

    def release(self, number):
        for block in reversed(self.table.pop(number)):
            self.users[block] -= 1
            if not self.users[block]:
                self.free.append(block)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "decode", "decode", "leave"]),
        st.lists(st.integers(0, 1), max_size=6),  # what its blocks hold
        st.integers(1, 30),
        st.integers(0, 40),
    ),
    max_size=60,
)


@settings(max_examples=400)
@given(OPERATIONS)
def test_blocks_are_found_as_if_each_were_moved_by_itself(operations):
    """Found, free and pushed out alike, though the cache only counts what decoding takes."""
    pool, cache = Pool(24), KvCache(24 * BLOCK, BLOCK)
    prefix, running, names = PrefixCache(cache), {}, {}
    for number, (what, content, prompt, choice) in enumerate(operations):
        one = list(running)[choice % len(running)] if running else None
        if what == "come":
            begun = [tuple(content[: end + 1]) for end in range(len(content))]
            keys = tuple(names.setdefault(beginning, len(names)) for beginning in begun)
            request = Request(number, 0.0, prompt, 40, np.empty(0), None, Traits(prefix=keys))
            found = prefix.find(request)
            assert found == pool.find(keys, prompt)
            in_use = [pool.users[pool.where(key)] > 0 for key in keys[:found]]
            assert prefix.in_use(request, found) == sum(in_use)
            if cache.blocks(prompt) - sum(in_use) > cache.free_blocks:
                continue
            prefix.claim(request, found)
            pool.claim(number, keys[:found])
            cache.take(cache.blocks(prompt) - found)
            pool.take(number, cache.blocks(prompt) - found)
            request.blocks = cache.blocks(prompt)
            prefix.register(request, prompt)
            pool.register(number, keys, prompt)
            running[number] = (request, prompt)
        elif what == "decode" and one is not None:
            request, tokens = running[one]
            more = cache.blocks(tokens + prompt) - request.blocks
            if more <= cache.free_blocks:
                cache.take(more)
                pool.take(one, more)
                request.blocks += more
                running[one] = (request, tokens + prompt)
        elif what == "leave" and one is not None:
            request, tokens = running.pop(one)
            pool.register(one, request.traits.prefix, tokens - 1)
            prefix.release(request, tokens - 1)
            pool.release(one)
        assert cache.free_blocks == len(pool.free)
    for key in range(len(names)):
        probe = Request(0, 0.0, 2 * BLOCK, 1, np.empty(0), None, Traits(prefix=(key,)))
        assert prefix.find(probe) == (pool.where(key) is not None)


def test_a_duplicate_is_found_once_the_first_is_gone():
    """The third block of the second request repeats one that decoding pushes out."""
    cache = KvCache(4 * BLOCK, BLOCK)
    prefix = PrefixCache(cache)

    def come(number):
        request = Request(number, 0.0, 12, 9, np.empty(0), None, Traits(prefix=(0, 1, 2)))
        found = prefix.find(request)
        prefix.claim(request, found)
        cache.take(3 - found)
        request.blocks = 3
        prefix.register(request, 12)
        return request

    prefix.release(come(0), 12)
    second = come(1)
    cache.take(cache.free_blocks)
    second.blocks = 4
    prefix.release(second, 12)
    probe = Request(2, 0.0, 13, 1, np.empty(0), None, Traits(prefix=(0, 1, 2)))
    assert prefix.find(probe) == 3


@given(st.lists(st.integers(0, 3), max_size=8), st.integers(1, 40), st.integers(1, 40))
def test_blocks_share_a_key_where_hashes_say_that_they_are_alike(content, hash_tokens, block):
    """Two contents that part after some hash: so do the keys, at the first block beyond it."""
    for common in range(len(content) + 1):
        one, other = (
            [
                hash((tuple(content[: min(end, common)]), arm * max(0, end - common))) & (2**60 - 1)
                for end in range(1, len(content) + 1)
            ]
            for arm in (1, 2)
        )
        keys = block_keys(one, hash_tokens, block), block_keys(other, hash_tokens, block)
        assert len(keys[0]) == len(content) * hash_tokens // block
        alike = [a == b for a, b in zip(*keys, strict=True)]
        assert alike == [(i + 1) * block <= common * hash_tokens for i in range(len(alike))]
        assert len(set(keys[0])) == len(keys[0])


@pytest.fixture(params=["ring", "slots"])
def serve(request):
    """Serve with either stepper, blocks of 4 tokens; steps take 1 s."""

    def run(workload, **settings):
        policy = (lambda: Fixed(0)) if request.param == "slots" else None
        settings = {"block_tokens": BLOCK, "kv_capacity_tokens": 400} | settings
        bench = Bench().run(workload, FakeSteps(), policy=policy, **settings)
        return bench, sorted(bench.requests.rows)

    return run


def workload(arrivals, prompts, outputs, prefixes):
    made = FixedWorkload(arrivals, prompts, outputs)
    made.traits = make_traits(len(prompts), hash_tokens=BLOCK, prefixes=prefixes)
    return made


def cached(bench):
    order = np.argsort(bench.requests.column("request_id"))
    return bench.requests.column("cached_tokens")[order].tolist()


def test_a_prompt_that_begins_alike_is_computed_from_where_it_parts(serve):
    bench, _ = serve(workload([0.0, 9.0], [14, 14], [3, 3], [(1, 2), (1, 3)]))
    assert cached(bench) == [0, 4]
    assert bench.iterations.column("prefill_tokens").tolist() == [14, 0, 0, 10, 0, 0]


def test_those_in_one_step_share_what_the_first_of_them_computes(serve):
    bench, _ = serve(workload([0.0] * 3, [9] * 3, [2] * 3, [(1, 2)] * 3))
    assert cached(bench) == [0, 8, 8]
    # Two blocks for all, and one each.
    assert round(bench.iterations.column("kv_usage")[0] * 100) == 5
    assert bench.iterations.column("prefill_tokens").tolist() == [11, 0]


def test_one_token_is_always_computed(serve):
    """A prompt of two whole blocks that are both known computes the second anew."""
    bench, _ = serve(workload([0.0, 9.0], [8, 8], [2, 2], [(1, 2)] * 2))
    assert cached(bench) == [0, 4]


def test_a_chunked_prompt_is_shared_from_its_last_chunk_on(serve):
    both = workload([0.0, 0.0], [20, 20], [2, 2], [(1, 2, 3, 4)] * 2)
    bench, _ = serve(both, max_batched_tokens=10)
    assert bench.iterations.column("prefill_tokens").tolist()[:2] == [10, 10]
    assert cached(bench) == [0, 16]


def test_blocks_of_others_push_out_what_was_kept_longest(serve):
    """Ten blocks; the third request takes seven, the kept ones of the first among them."""
    prefixes = [(1, 2), (5, 6), (), (5, 6), (1, 2)]
    made = workload([0, 10, 20, 30, 40], [12, 12, 26, 12, 12], [1, 1, 1, 1, 1], prefixes)
    bench, _ = serve(made, kv_capacity_tokens=40)
    # Free from the front: 4 blocks never used, 1 without key, 2 and 1 of the first, 3 of the
    # second. Seven go: those of the first.
    assert cached(bench) == [0, 0, 0, 8, 0]


def test_what_decoding_takes_pushes_out_too(serve):
    prefixes = [(1, 2), (), (1, 2)]
    kept, _ = serve(workload([0, 10, 60], [12, 4, 12], [1, 20, 1], prefixes), kv_capacity_tokens=40)
    gone, _ = serve(workload([0, 10, 60], [12, 4, 12], [1, 36, 1], prefixes), kv_capacity_tokens=40)
    assert cached(kept) == [0, 0, 8]
    assert cached(gone) == [0, 0, 0]


def test_a_next_turn_finds_prompt_and_answer(serve):
    """The hashes of the first cover its output; its last token was never computed."""
    bench, _ = serve(workload([0, 50], [10, 26], [15, 2], [(1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)]))
    assert cached(bench) == [0, 24]


def test_a_cache_that_is_off_finds_nothing(serve):
    bench, _ = serve(workload([0.0, 9.0], [14, 14], [3, 3], [(1, 2)] * 2), prefix_cache=False)
    assert cached(bench) == [0, 0]


@st.composite
def shared(draw):
    """Draw requests that begin alike in small caches, some of which are cancelled."""
    count = draw(st.integers(1, 20))
    column = lambda elements: draw(st.lists(elements, min_size=count, max_size=count))  # noqa: E731
    prompts, outputs = column(st.integers(1, 50)), column(st.integers(1, 30))
    block = draw(st.sampled_from([1, 3, 16]))
    prefixes = []
    for prompt, output, group in zip(prompts, outputs, column(st.integers(0, 3)), strict=True):
        length = (prompt + draw(st.sampled_from([0, output]))) // 5
        prefixes.append(tuple(100 * (group if end > 2 else 0) + end for end in range(length)))
    made = FixedWorkload(sorted(column(st.floats(0, 20))), prompts, outputs)
    made.traits = make_traits(
        count,
        hash_tokens=5,
        prefixes=prefixes,
        priority=column(st.integers(0, 1)),
        tenant=column(st.integers(0, 1)),
        cancel_after_s=column(st.just(np.inf) | st.just(np.inf) | st.floats(0.01, 8)),
    )
    gamma = draw(st.integers(0, 3))
    longest = max(p + o for p, o in zip(prompts, outputs, strict=True)) + gamma + block
    return {
        "workload": made,
        "steps": FakeSteps(gamma=gamma, step_s=0.05, request_s=1e-3, prompt_token_s=1e-3),
        "alpha": draw(st.floats(0, 1)),
        "max_num_seqs": draw(st.integers(1, 6)),
        "max_batched_tokens": 24 + draw(st.integers(0, 60)),
        "separate_prefill": draw(st.booleans()),
        "reserved_output": draw(st.sampled_from([0.0, 0.7, 1.0])),
        "block_tokens": block,
        "kv_capacity_tokens": int(longest * draw(st.floats(1, 3))),
        "queue": draw(st.sampled_from(list(QUEUES))),
    }


@settings(max_examples=150)
@given(shared())
def test_tokens_and_blocks_are_conserved_with_prefixes_shared(scenario):
    """INV-4, INV-8, INV-11 where blocks are held by several; and every request leaves once."""
    caches, made = [], KvCache.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            KvCache, "__init__", lambda self, *a: (caches.append(self), made(self, *a))[1]
        )
        ring = Bench().run(**scenario)
        slots = Bench().run(**scenario, policy=lambda: Fixed(scenario["steps"].gamma))
    assert all(cache.free_blocks == cache.total_blocks for cache in caches)
    assert repr(slots.requests.rows) == repr(ring.requests.rows)
    assert slots.iterations.rows == ring.iterations.rows
    done, steps = ring.requests, ring.iterations
    assert sorted(done.column("request_id")) == list(range(scenario["workload"].requests))
    assert (done.column("cached_tokens") < done.column("prompt_tokens")).all()
    assert (done.column("cached_tokens") % scenario["block_tokens"] == 0).all()
    usage = steps.column("kv_usage")
    assert (usage >= 0).all()
    assert (usage <= 1).all()
    assert steps.column("emitted_tokens").sum() == done.column("emitted_tokens").sum()
    if (done.column("outcome") == FINISHED).all():
        computed = done.column("prompt_tokens") - done.column("cached_tokens")
        computed += done.column("recomputed_tokens")
        assert steps.column("prefill_tokens").sum() == computed.sum()
    if scenario["reserved_output"] == 1.0:
        assert done.column("preemptions").sum() == 0


@given(shared())
def test_hits_change_nothing_but_what_is_computed(scenario):
    """Off, or with nothing alike, every request is computed whole."""
    off = Bench().run(**scenario, prefix_cache=False)
    traits = scenario["workload"].traits
    prefixes = [tuple(10**6 * n + h for h in own) for n, own in enumerate(traits.prefixes)]
    scenario["workload"].traits = type(traits)(
        traits.traffic_class,
        traits.tenant,
        traits.priority,
        traits.session,
        traits.cancel_after_s,
        prefixes,
        traits.hash_tokens,
    )
    unlike = Bench().run(**scenario)
    assert unlike.requests.column("preemptions").sum() or (
        repr(unlike.requests.rows) == repr(off.requests.rows)
    )
