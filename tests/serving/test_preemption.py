"""Paged KV cache and preemption by recompute, against schedules worked by hand."""

import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InvariantError
from simulator.serving.kv_cache import KvCache
from simulator.speculation.policies import Fixed


@pytest.fixture(params=["ring", "slots"])
def serve(request):
    """Serve with either stepper; steps take 1 s."""

    def run(workload, *, gamma=0, **settings):
        policy = (lambda: Fixed(gamma)) if request.param == "slots" else None
        return Bench().run(workload, FakeSteps(gamma=gamma), policy=policy, **settings)

    return run


def test_two_requests_that_outgrow_the_cache_take_turns(serve):
    """Ten blocks of one token; prompts of 3 and outputs of 5, so 7 tokens cached at the end."""
    workload = FixedWorkload([0.0, 0.0], [3, 3], [5, 5])
    bench = serve(workload, kv_capacity_tokens=10, block_tokens=1)
    steps, done = bench.iterations, bench.requests
    # t 0 both prefill: 6 blocks. t 1, 2: 8, then 10. At t 3 the second loses its 5 blocks; its
    # 6 tokens (3 of them output) do not fit beside the first, which ends with 7 at t 5. Then it
    # prefills 6 tokens, which emits its fourth, and one step emits the fifth.
    assert steps.column("prefill_tokens").tolist() == [6, 0, 0, 0, 0, 6, 0]
    assert steps.column("decode_requests").tolist() == [0, 2, 2, 1, 1, 0, 1]
    assert steps.column("waiting_requests").tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert (steps.column("kv_usage") * 10).round().tolist() == [6, 8, 10, 6, 7, 6, 7]
    assert done.column("finish_s").tolist() == [5.0, 7.0]
    assert done.column("first_token_s").tolist() == [1.0, 1.0]
    assert done.column("admitted_s").tolist() == [0.0, 0.0]
    assert done.column("preemptions").tolist() == [0, 1]
    assert done.column("recomputed_tokens").tolist() == [0, 6]
    assert done.column("rounds").tolist() == [4, 3]  # the fourth token came from a prefill


def test_blocks_are_taken_as_they_fill(serve):
    bench = serve(FixedWorkload([0.0], [4], [9]), kv_capacity_tokens=64, block_tokens=4)
    # 4 tokens prefilled, then contexts of 5 to 12.
    assert (bench.iterations.column("kv_usage") * 16).tolist() == [1, 2, 2, 2, 2, 3, 3, 3, 3]


def test_drafts_need_slots(serve):
    workload = FixedWorkload([0.0], [4], [9])
    bench = serve(workload, gamma=3, alpha=0.0, kv_capacity_tokens=64, block_tokens=4)
    # Contexts of 5 to 12, and three drafts.
    assert (bench.iterations.column("kv_usage") * 16).tolist() == [1, 2, 3, 3, 3, 3, 4, 4, 4]


def test_who_came_last_goes_and_returns_first(serve):
    workload = FixedWorkload([0.0, 0.1, 0.2, 9.0], [4, 4, 4, 4], [12] * 4)
    bench = serve(workload, kv_capacity_tokens=24, block_tokens=1)
    preempted = dict(
        zip(bench.requests.column("request_id"), bench.requests.column("preemptions"), strict=True)
    )
    assert preempted[0] == 0
    assert preempted[2] >= 1
    assert bench.requests.column("request_id").tolist() == [0, 1, 2, 3]  # order of finishing


def test_a_prompt_half_prefilled_goes_before_those_that_decode(serve):
    """It came last. Its first chunk is lost, and prefilled again once there is room."""
    workload = FixedWorkload([0.0, 1.5], [4, 10], [8, 2])
    bench = serve(workload, kv_capacity_tokens=16, block_tokens=1, max_batched_tokens=5)
    done = bench.requests
    # t 2: the first holds 6 tokens and 10 are free: the whole prompt fits, 4 of it beside the
    # decoding token. t 3: 7 + 8, t 4: 8 + 10 exceed 16.
    assert bench.iterations.column("prefill_tokens").tolist()[:5] == [4, 0, 4, 4, 0]
    assert done.column("preemptions").tolist() == [0, 1]
    assert done.column("recomputed_tokens").tolist() == [0, 8]
    assert done.column("finish_s")[0] == 8.0
    assert done.column("admitted_s").tolist() == [0.0, 2.0]  # when its prefill first started


def test_nobody_comes_in_before_the_whole_prompt_fits(serve):
    workload = FixedWorkload([0.0, 0.0], [10, 10], [3, 3])
    bench = serve(workload, kv_capacity_tokens=19, block_tokens=1, max_batched_tokens=12)
    assert bench.iterations.column("prefill_tokens").tolist() == [10, 0, 0, 10, 0, 0]
    assert bench.requests.column("preemptions").sum() == 0


def test_a_last_token_can_come_from_the_prefill_after_a_preemption(serve):
    workload = FixedWorkload([0.0, 0.0], [3, 3], [4, 4])
    bench = serve(workload, kv_capacity_tokens=10, block_tokens=1)
    # Both hold 5 tokens at t 2; the second goes at t 3 with 3 of its 4 tokens out.
    assert bench.requests.column("finish_s").tolist() == [4.0, 5.0]
    assert bench.requests.column("rounds").tolist() == [3, 2]


@pytest.mark.parametrize(
    ("reserved", "batch", "preempted"), [(0.0, 3, True), (0.5, 2, True), (1.0, 1, False)]
)
def test_what_is_reserved_for_output_keeps_others_out(serve, reserved, batch, preempted):
    """Prompts of 4 end at 13 blocks; 17 blocks. Of two, 8 are taken at first and 26 at the end."""
    workload = FixedWorkload([0.0] * 3, [4] * 3, [10] * 3)
    settings = {"kv_capacity_tokens": 17, "block_tokens": 1, "reserved_output": reserved}
    bench = serve(workload, **settings)
    assert bench.iterations.column("decode_requests").max() == batch
    assert bool(bench.requests.column("preemptions").any()) == preempted


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 30))
def test_a_cache_holds_whole_blocks(blocks, block_tokens, rest):
    cache = KvCache(blocks * block_tokens + rest % block_tokens, block_tokens)
    assert cache.total_blocks == blocks
    assert cache.blocks(rest) * block_tokens >= rest > (cache.blocks(rest) - 1) * block_tokens


def test_a_cache_refuses_what_does_not_add_up():
    cache = KvCache(32, 16)
    with pytest.raises(InvariantError, match="3 KV blocks taken where 2 are free"):
        cache.take(3)
    with pytest.raises(InvariantError, match="3 of 2 KV blocks are free after 1 came back"):
        cache.give(1)
