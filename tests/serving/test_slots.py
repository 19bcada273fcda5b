"""A draft length that changes from step to step."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload
from hypothesis import given
from hypothesis import strategies as st

from simulator.speculation.acceptance import PositionAcceptance
from simulator.streams import Streams


class Scripted:
    """Draft lengths from a list, over and over; remembers what it saw."""

    def __init__(self, gammas):
        self.gammas, self.seen = gammas, []

    def decide(self, telemetry):
        self.seen.append(telemetry)
        return self.gammas[(len(self.seen) - 1) % len(self.gammas)]


def serve(gammas, workload, *, seed=1, alpha=0.7, **settings):
    """Serve on one replica; return bench and policy."""
    policy = Scripted(gammas)
    steps = FakeSteps(gamma=max(gammas))
    bench = Bench().run(workload, steps, policy=lambda: policy, seed=seed, alpha=alpha, **settings)
    return bench, policy


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(2, 80), st.integers(0, 99))
def test_every_round_caps_the_next_draw_by_its_own_draft_length(gammas, output, seed):
    """The draws are common to all policies: round k of a request draws the same run."""
    bench, _ = serve(gammas, FixedWorkload([0.0], [10], [output]), seed=seed)
    uniforms = Streams(seed).block("acceptance", 0).random(output)
    runs = PositionAcceptance([0.7]).accepted(uniforms, 64)
    left, expected, accepted = output - 1, [1], 0
    for index, run in enumerate(runs.tolist()):
        if left == 0:
            break
        kept = min(run, gammas[index % len(gammas)]) if max(gammas) else 0
        expected.append(min(kept + 1, left))
        left -= expected[-1]
        accepted += kept
    assert bench.iterations.column("emitted_tokens").tolist() == expected
    assert bench.requests.column("rounds").tolist() == [len(expected) - 1]
    assert bench.requests.column("accepted_draft_tokens").tolist() == [accepted]


def test_a_policy_sees_batch_context_and_what_was_accepted():
    bench, policy = serve([2, 0, 1], FixedWorkload([0.0] * 3, [10, 20, 30], [9] * 3), alpha=1.0)
    first, second, third, fourth = policy.seen[:4]
    assert [len(seen.accepted) for seen in policy.seen[:4]] == [0, 3, 3, 3]
    assert (first.requests, first.context_tokens) == (3, 63)
    assert (second.gamma, second.accepted.tolist()) == (2, [2, 2, 2])
    assert (second.requests, second.context_tokens) == (3, 63 + 9)
    assert (third.gamma, third.accepted.tolist()) == (0, [0, 0, 0])
    assert (fourth.gamma, fourth.accepted.tolist()) == (1, [1, 1, 1])
    queries = bench.iterations.column("query_tokens")[1:]
    assert queries.tolist() == [3, 1, 2, 3]


def test_a_policy_sees_who_is_there_without_decoding_and_the_time():
    """Two run at a time; the third waits, and its prompt comes beside the others' last steps."""
    workload = FixedWorkload([0.0] * 3, [10] * 3, [4, 9, 9])
    bench, policy = serve([1], workload, alpha=0.0, max_num_seqs=2)
    waiting = [seen.waiting for seen in policy.seen]
    assert waiting[0] == 1
    assert waiting == sorted(waiting, reverse=True)
    assert waiting[-1] == 0
    begun = bench.iterations.column("start_s")
    decoding = bench.iterations.column("decode_requests") > 0
    assert [seen.now_s for seen in policy.seen] == begun[decoding].tolist()


def test_a_step_is_priced_at_its_own_draft_length():
    class Dear(FakeSteps):
        def decode_window(self, requests, context_tokens):
            window = super().decode_window(requests, context_tokens)
            return window._replace(base_s=1.0 + self.gamma)

    policy = Scripted([3, 3, 0, 1])
    bench = Bench().run(
        FixedWorkload([0.0], [5], [40]), Dear(gamma=3), policy=lambda: policy, alpha=0.0
    )
    expected = [1.0 + gamma for gamma in [3, 3, 0, 1] * 9]
    assert bench.iterations.column("duration_s")[1:37].tolist() == expected


def test_a_shorter_draft_gives_no_block_back():
    workload = FixedWorkload([0.0], [4], [9])
    bench, _ = serve([3, 0], workload, alpha=0.0, kv_capacity_tokens=64, block_tokens=4)
    # Contexts of 5 to 12, with 3 drafts at every other.
    assert (bench.iterations.column("kv_usage") * 16).tolist() == [1, 2, 2, 3, 3, 3, 3, 4, 4]


@pytest.mark.parametrize("residents", [1, 9, 40])
def test_slots_grow_with_the_batch_and_are_used_again(residents):
    workload = FixedWorkload([0.0] * 200, [4] * 200, [12] * 200, concurrency=residents)
    bench, _ = serve([2, 1], workload)
    assert bench.iterations.column("decode_requests").max() == residents
    assert bench.iterations.column("emitted_tokens").sum() == 200 * 12
    assert np.unique(bench.requests.column("request_id")).size == 200
