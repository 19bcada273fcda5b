"""Requests that leave unserved, against schedules worked by hand."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, make_traits

from simulator.serving.deadlines import SMALL, Deadlines
from simulator.serving.request import Request
from simulator.speculation.policies import Fixed
from simulator.trace.schema import OUTCOMES


@pytest.fixture(params=["ring", "slots"])
def serve(request):
    """Serve with either stepper; steps take 1 s. Returns the bench and rows by request."""

    def run(workload, **settings):
        policy = (lambda: Fixed(0)) if request.param == "slots" else None
        bench = Bench().run(workload, FakeSteps(), policy=policy, **settings)
        columns = bench.requests.columns
        rows = {row[0]: dict(zip(columns, row, strict=True)) for row in bench.requests.rows}
        return bench, [rows[number] for number in sorted(rows)]

    return run


def outcomes(rows):
    return [OUTCOMES[row["outcome"]] for row in rows]


def test_a_full_queue_refuses(serve):
    """One runs until t 5; of five that come at t 0.5, two may wait."""
    workload = FixedWorkload([0.0] + [0.5] * 5, [4] * 6, [5] * 6)
    _, rows = serve(workload, max_num_seqs=1, max_queue=2)
    assert outcomes(rows) == ["finished"] * 3 + ["rejected"] * 3
    assert rows[5]["left_s"] == 0.5
    assert rows[5]["emitted_tokens"] == 0
    assert np.isnan([rows[5]["admitted_s"], rows[5]["first_token_s"], rows[5]["finish_s"]]).all()
    assert (rows[5]["replica"], rows[5]["prefill_replica"]) == (0, -1)


def test_who_waits_too_long_leaves_between_two_steps(serve):
    workload = FixedWorkload([0.0, 0.25, 0.5], [4] * 3, [4] * 3)
    _, rows = serve(workload, max_num_seqs=1, queue_timeout_s=4.0)
    assert outcomes(rows) == ["finished", "finished", "timed_out"]
    assert rows[1]["admitted_s"] == 4.0  # at its turn just before 4.25
    assert rows[2]["left_s"] == 5.0  # its time ended at 4.5, in a step


def test_a_request_that_lost_its_blocks_does_not_time_out(serve):
    workload = FixedWorkload([0.0, 0.0], [3, 3], [5, 5])
    settings = {"kv_capacity_tokens": 10, "block_tokens": 1, "queue_timeout_s": 1.5}
    _, rows = serve(workload, **settings)
    assert outcomes(rows) == ["finished", "finished"]
    assert rows[1]["preemptions"] == 1


@pytest.mark.parametrize(
    ("after_s", "left_s", "emitted", "why"),
    [
        (0.5, 1.0, 0, "it waits for the first step to end"),
        (2.5, 3.0, 0, "two of three chunks of its prompt are done"),
        (4.5, 5.0, 2, "it decodes"),
        (6.0, 6.0, 3, "at the very end of a step"),
        (99.0, 8.0, 5, "never"),
    ],
)
def test_a_client_gives_up_anywhere(serve, after_s, left_s, emitted, why):
    """The other comes at 0 and prefills alone; then chunks of 4, 4 and 2 tokens beside it."""
    workload = FixedWorkload([0.0, 0.1], [4, 10], [12, 5])
    workload.traits = make_traits(2, cancel_after_s=[np.inf, after_s - 0.1])
    bench, rows = serve(workload, max_batched_tokens=5, block_tokens=2, kv_capacity_tokens=100)
    assert outcomes(rows) == ["finished", "finished" if after_s == 99 else "cancelled"], why
    assert (rows[1]["left_s"], rows[1]["emitted_tokens"]) == (left_s, emitted)
    assert rows[0]["finish_s"] == 12.0
    # Its blocks came back: at the end the other's are all that is taken.
    assert round(bench.iterations.column("kv_usage")[-1] * 50) == 8
    assert bench.iterations.column("emitted_tokens").sum() == 12 + emitted


def test_a_client_gives_up_while_its_request_waits_to_be_computed_anew(serve):
    workload = FixedWorkload([0.0, 0.0], [3, 3], [5, 5])
    workload.traits = make_traits(2, cancel_after_s=[np.inf, 3.5])
    _, rows = serve(workload, kv_capacity_tokens=10, block_tokens=1)
    assert outcomes(rows) == ["finished", "cancelled"]
    assert (rows[1]["left_s"], rows[1]["emitted_tokens"]) == (4.0, 3)
    assert rows[1]["recomputed_tokens"] == 0
    assert rows[1]["rounds"] == 2


@pytest.mark.parametrize("queue", ["fcfs", "priority", "fair"])
def test_a_closed_loop_goes_on_after_whatever_outcome(serve, queue):
    count = 40
    workload = FixedWorkload([0.0] * count, [3] * count, [5] * count, concurrency=6)
    workload.traits = make_traits(count, cancel_after_s=np.where(np.arange(count) % 3, np.inf, 2.5))
    _, rows = serve(workload, max_num_seqs=2, queue=queue, queue_timeout_s=20.0)
    assert len(rows) == count
    assert set(outcomes(rows)) >= {"finished", "cancelled"}


def test_the_urgent_come_in_first_and_stay(serve):
    """Priorities 1, 1, 0: the last to come is next in, and the second loses its blocks."""
    workload = FixedWorkload([0.0, 0.1, 0.2], [3, 3, 3], [6, 6, 6])
    workload.traits = make_traits(3, priority=[1, 1, 0])
    settings = {"max_num_seqs": 2, "kv_capacity_tokens": 12, "block_tokens": 1}
    _, rows = serve(workload, queue="priority", **settings)
    assert rows[2]["admitted_s"] == 1.0
    assert rows[2]["preemptions"] == 0
    assert rows[0]["preemptions"] == 1  # it came first, and is the less urgent of the two
    assert rows[1]["admitted_s"] > rows[0]["admitted_s"]


def test_the_less_urgent_goes_though_it_came_first(serve):
    workload = FixedWorkload([0.0, 1.5], [4, 10], [8, 2])
    workload.traits = make_traits(2, priority=[1, 0])
    settings = {"kv_capacity_tokens": 16, "block_tokens": 1, "max_batched_tokens": 5}
    bench, rows = serve(workload, queue="priority", **settings)
    # t 3: 8 + 8 blocks. At t 4 the first needs another and goes; the prompt beside it goes on.
    assert bench.iterations.column("prefill_tokens").tolist()[:5] == [4, 0, 4, 4, 2]
    assert bench.iterations.column("decode_requests").tolist()[:5] == [0, 1, 1, 1, 0]
    assert [row["preemptions"] for row in rows] == [1, 0]
    assert rows[1]["first_token_s"] == 5.0


@pytest.mark.parametrize(("queue", "preempted"), [("fcfs", [0, 1]), ("priority", [1, 0])])
def test_a_chunk_without_a_block_costs_its_prompt_or_one_less_urgent(serve, queue, preempted):
    """Four blocks of 4 tokens. At t 3 the first takes the fourth, which the prompt would need."""
    workload = FixedWorkload([0.0, 1.5], [7, 8], [5, 2])
    workload.traits = make_traits(2, priority=[1, 0])
    settings = {"kv_capacity_tokens": 16, "block_tokens": 4, "max_batched_tokens": 5}
    bench, rows = serve(workload, queue=queue, **settings)
    assert [row["preemptions"] for row in rows] == preempted
    steps = bench.iterations
    assert steps.column("prefill_tokens").tolist()[:4] == [5, 2, 4, 4 * preempted[0]]
    assert steps.column("decode_requests").tolist()[:4] == [0, 0, 1, preempted[1]]
    assert (steps.column("kv_usage")[3] * 4).tolist() == (2 if preempted[0] else 3)


def test_deadlines_forget_who_has_left():
    """Whatever the horizon, the heap stays within twice those that are still there."""
    deadlines, here = Deadlines(), []
    for number in range(20 * SMALL):
        request = Request(number, 0.0, 1, 1, np.zeros(1, np.int64), None)
        deadlines.add(1e9 + number, request, 2)
        here.append(request)
        if len(here) > 10:
            here.pop(0).left = True
    assert len(deadlines.heap) <= SMALL + 1
    assert [late for late, _ in deadlines.due(2e9)] == here
