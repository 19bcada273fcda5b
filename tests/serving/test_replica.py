"""The serving core against schedules worked by hand."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, make_traits

from simulator.errors import InvariantError


def test_one_request_prefills_then_decodes():
    bench = Bench().run(FixedWorkload([2.0], [100], [4]), FakeSteps(prompt_token_s=0.01))
    # Prefill 1 + 100 * .01 = 2 s emits the first token; three plain steps of 1 s follow.
    assert bench.requests.column("arrival_s").tolist() == [2.0]
    assert bench.requests.column("first_token_s").tolist() == [4.0]
    assert bench.requests.column("finish_s").tolist() == [7.0]
    assert bench.iterations.column("emitted_tokens").tolist() == [1, 1, 1, 1]
    assert bench.iterations.column("context_tokens").tolist() == [0, 101, 102, 103]


def test_an_output_of_one_token_ends_with_prefill():
    bench = Bench().run(FixedWorkload([0.0], [10], [1]), FakeSteps())
    assert bench.requests.column("finish_s").tolist() == [1.0]
    assert bench.requests.column("rounds").tolist() == [0]
    assert len(bench.iterations.rows) == 1


def test_sure_drafts_emit_gamma_plus_one_and_none_emit_one():
    sure = Bench().run(FixedWorkload([0.0], [10], [13]), FakeSteps(gamma=3), alpha=1.0)
    never = Bench().run(FixedWorkload([0.0], [10], [13]), FakeSteps(gamma=3), alpha=0.0)
    assert sure.iterations.column("emitted_tokens").tolist() == [1, 4, 4, 4]
    assert sure.requests.column("accepted_draft_tokens").tolist() == [9]
    assert never.iterations.column("emitted_tokens").tolist() == [1] * 13


def test_a_long_prompt_is_chunked_beside_decode():
    workload = FixedWorkload([0.0, 0.5], [10, 25], [10, 2])
    bench = Bench().run(workload, FakeSteps(), max_batched_tokens=12, max_num_seqs=4)
    # One request decodes (1 token), so 11 prompt tokens fit in a step: 11 + 11 + 3.
    assert bench.iterations.column("prefill_tokens").tolist()[:5] == [10, 11, 11, 3, 0]
    assert bench.iterations.column("decode_requests").tolist()[:5] == [0, 1, 1, 1, 2]


def test_prompts_share_one_token_budget_oldest_first():
    workload = FixedWorkload([0.0, 0.0, 0.0], [8, 8, 8], [1, 1, 1])
    bench = Bench().run(workload, FakeSteps(), max_batched_tokens=12)
    assert bench.iterations.column("prefill_tokens").tolist() == [12, 12]
    assert bench.requests.column("first_token_s").tolist() == [1.0, 2.0, 2.0]


def test_new_prompts_are_looked_for_every_few_steps_while_anything_runs():
    """The cadence of prefill: what comes during step 1 waits for step 3; an idle replica looks."""
    workload = FixedWorkload([0.0, 1.5, 20.5], [10, 5, 5], [9, 2, 2])
    bench = Bench().run(workload, FakeSteps(), recv_interval=3)
    assert bench.iterations.column("prefill_tokens").tolist()[:5] == [10, 0, 0, 5, 0]
    assert bench.requests.column("admitted_s").tolist() == [3.0, 0.0, 20.5]


def test_sequences_are_limited():
    workload = FixedWorkload([0.0] * 5, [4] * 5, [6] * 5)
    bench = Bench().run(workload, FakeSteps(), max_num_seqs=2)
    assert bench.iterations.column("decode_requests").max() == 2
    assert bench.iterations.column("waiting_requests")[0] == 3


def test_a_request_that_never_fits_is_a_broken_promise():
    with pytest.raises(InvariantError, match=r"request 0 may hold 99 tokens .* blocks for 96"):
        Bench().run(FixedWorkload([0.0], [50], [50]), FakeSteps(), kv_capacity_tokens=99)


def test_round_robin_deals_in_turn_and_least_outstanding_balances():
    arrivals, prompts, outputs = [0.0, 0.1, 0.2, 0.3], [5] * 4, [50, 2, 2, 50]
    workload = FixedWorkload(arrivals, prompts, outputs)
    turn = Bench().run(workload, FakeSteps(step_s=0.01), replicas=2, router="round_robin")
    least = Bench().run(workload, FakeSteps(step_s=0.01), replicas=2)
    by_id = dict(
        zip(turn.requests.column("request_id"), turn.requests.column("replica"), strict=True)
    )
    assert [by_id[i] for i in range(4)] == [0, 1, 0, 1]
    by_id = dict(
        zip(least.requests.column("request_id"), least.requests.column("replica"), strict=True)
    )
    # Replica 0 is busy throughout; replica 1 is idle again when each of the others comes.
    assert [by_id[i] for i in range(4)] == [0, 1, 1, 1]


def test_a_closed_loop_keeps_its_users_busy():
    workload = FixedWorkload([0.0] * 12, [3] * 12, [5] * 12, concurrency=3)
    bench = Bench().run(workload, FakeSteps())
    assert len(bench.requests.rows) == 12
    batch = bench.iterations.column("decode_requests")
    assert batch.max() == 3
    assert (
        bench.requests.column("arrival_s").tolist()
        == [0.0] * 3 + [5.0] * 3 + [10.0] * 3 + [15.0] * 3
    )


def test_speed_is_one_event_per_step():
    """Invariant of the design: no process or event per request beyond its arrival."""
    requests = 40
    workload = FixedWorkload(np.arange(requests) * 0.3, [20] * requests, [30] * requests)
    bench = Bench().run(workload, FakeSteps(gamma=2, step_s=0.1))
    steps = len(bench.iterations.rows)
    # Besides: the two processes, the arrivals, and at most one wake-up per idle spell.
    assert bench.events <= steps + requests + 2 * requests + 6


@pytest.mark.parametrize("users", [None, 1, 3])
def test_the_front_end_delays_the_first_token_and_nothing_else(users):
    # Requests are far apart, or as many as users, so that none waits for another.
    workload = FixedWorkload([0.0, 100.0, 200.0], [5] * 3, [4] * 3, concurrency=users)
    plain = Bench().run(workload, FakeSteps())
    delayed = Bench().run(workload, FakeSteps(), front_end_s=0.25)

    def ttft(bench):
        return bench.requests.column("first_token_s") - bench.requests.column("arrival_s")

    def decode(bench):
        return bench.requests.column("finish_s") - bench.requests.column("first_token_s")

    assert ttft(delayed) == pytest.approx(ttft(plain) + 0.25)
    assert decode(delayed) == pytest.approx(decode(plain))


def test_requests_that_arrive_together_pass_the_front_end_one_after_another():
    workload = FixedWorkload([0.0, 0.0, 0.0], [5] * 3, [1] * 3)
    bench = Bench().run(workload, FakeSteps(), front_end_request_s=2.0, front_end_s=0.5)
    # In the queue at 2.5, 4.5 and 6.5; a step of 1 s each.
    assert bench.requests.column("first_token_s").tolist() == [3.5, 5.5, 7.5]
    assert bench.requests.column("arrival_s").tolist() == [0.0] * 3


@pytest.mark.parametrize(("request_s", "together"), [(0.0, {8}), (0.9, {1, 2, 3})])
def test_a_front_end_breaks_up_users_in_lockstep(request_s, together):
    # Eight users with equal requests would prefill together for ever.
    workload = FixedWorkload([0.0] * 800, [10] * 800, [12] * 800, concurrency=8)
    steps = FakeSteps(prompt_token_s=0.1)
    bench = Bench().run(workload, steps, front_end_request_s=request_s)
    prompts = bench.iterations.column("prefill_tokens")[-300:] // 10
    assert set(prompts[prompts > 0].tolist()) <= together


def test_prompts_in_steps_of_their_own_stop_decoding():
    workload = FixedWorkload([0.0, 1.5], [10, 25], [6, 3])
    bench = Bench().run(
        workload, FakeSteps(), separate_prefill=True, max_batched_tokens=20, max_num_seqs=4
    )
    assert bench.iterations.column("prefill_tokens").tolist() == [10, 0, 20, 5, 0, 0, 0, 0]
    assert bench.iterations.column("decode_requests").tolist() == [0, 1, 0, 0, 2, 2, 1, 1]
    assert bench.iterations.column("context_tokens").tolist()[:5] == [0, 11, 0, 0, 12 + 26]


def test_nobody_comes_in_beside_a_request_that_had_to_go():
    """At 2 s request 0 goes for the last chunk of request 1; 2 fits, but comes in a step later."""
    workload = FixedWorkload([0.0, 0.5, 1.5], [8, 11, 2], [8, 3, 3])
    workload.traits = make_traits(3, priority=[2, 1, 1])
    settings = {"kv_capacity_tokens": 20, "block_tokens": 1, "max_batched_tokens": 8}
    bench = Bench().run(workload, FakeSteps(), queue="priority", **settings)
    rows = sorted(bench.requests.rows)
    preemptions, admitted = (bench.requests.columns.index(x) for x in ("preemptions", "admitted_s"))
    assert [row[preemptions] for row in rows] == [1, 0, 0]
    assert [row[admitted] for row in rows] == [0.0, 1.0, 3.0]
