"""Requests that follow others, against schedules worked by hand: a step takes 1 s."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment, make_traits

from simulator.errors import InvariantError
from simulator.serving.cluster_config import FailuresConfig, LossConfig
from simulator.trace.schema import OUTCOMES


def turns(arrival_s, follows, think_s, *, output=3, concurrency=None, **traits):
    """Requests of 4 prompt tokens and as many steps as output tokens."""
    n = len(arrival_s)
    workload = FixedWorkload(arrival_s, [4] * n, [output] * n, concurrency)
    workload.traits = replace(
        make_traits(n, **traits),
        follows=None if follows is None else np.array(follows),
        think_s=np.array(think_s, float),
    )
    return workload


def served(bench):
    columns = bench.requests.columns
    rows = {row[0]: dict(zip(columns, row, strict=True)) for row in bench.requests.rows}
    assert len(rows) == len(bench.requests.rows)
    return [rows[number] for number in sorted(rows)]


def run(workload, **settings):
    return served(Bench().run(workload, FakeSteps(), **settings))


def arrivals(rows):
    return [row["arrival_s"] for row in rows]


def test_a_turn_comes_its_time_after_the_one_before_has_left():
    """0 leaves at 3; 1 comes at 3.5, is done at 6.5; 2 comes at 8.5. 3 is of another session."""
    rows = run(turns([0.0, 0.5, 2.5, 20.0], [-1, 0, 1, -1], [0.0, 0.5, 2.0, 0.0]))
    assert arrivals(rows) == [0.0, 3.5, 8.5, 20.0]
    assert [row["left_s"] for row in rows[:3]] == [3.0, 6.5, 11.5]


def test_it_makes_no_difference_when_a_turn_is_read():
    """Its earliest arrival may be before the one it follows leaves, or past its own time."""
    for earliest_s in (0.0, 1.0, 4.0, 5.0):
        assert arrivals(run(turns([0.0, earliest_s], [-1, 0], [0.0, 2.0]))) == [0.0, 5.0]
    late = turns([0.0, 6.0], [-1, 0], [0.0, 2.0])
    assert arrivals(run(late)) == [0.0, 6.0]


def test_several_may_follow_one_and_a_front_end_takes_them_in_turn():
    workload = turns([0.0, 0.0, 0.0], [-1, 0, 0], [0.0, 1.0, 1.0])
    rows = run(workload, front_end_request_s=0.25)
    assert arrivals(rows) == [0.0, 4.25, 4.25]  # left at 0.25 + 3
    assert [row["admitted_s"] for row in rows[1:]] == [4.5, 5.5]


@pytest.mark.parametrize(
    ("settings", "traits", "outcome", "left_s"),
    [
        ({"max_queue": 1}, {}, "rejected", 0.0),
        ({"queue_timeout_s": 1.5}, {}, "timed_out", 2.0),
        ({}, {"cancel_after_s": [np.inf, np.inf, 1.5, np.inf]}, "cancelled", 2.0),
    ],
)
def test_a_session_goes_on_whatever_became_of_a_turn(settings, traits, outcome, left_s):
    """Request 0 keeps the only place until 5, 1 waits, 2 comes to nothing, and 3 follows it."""
    workload = turns([0.0] * 4, [-1, -1, -1, 2], [0.0, 0.0, 0.0, 12.0], output=5, **traits)
    rows = run(workload, max_num_seqs=1, **settings)
    assert OUTCOMES[rows[2]["outcome"]] == outcome
    assert rows[2]["left_s"] == left_s
    assert rows[3]["arrival_s"] == left_s + 12.0
    assert OUTCOMES[rows[3]["outcome"]] == "finished"


def test_a_session_without_time_to_think_is_refused_turn_by_turn():
    """A turn that is refused leaves in the act of being sent; 2,000 follow each other at once."""
    count = 2000
    workload = turns([0.0] * count, [-1, -1, *range(1, count - 1)], [0.0] * count)
    rows = run(workload, max_num_seqs=1, max_queue=0)
    assert arrivals(rows) == [0.0] * count
    assert {OUTCOMES[row["outcome"]] for row in rows[1:]} == {"rejected"}


def test_a_session_outlives_its_replica():
    """It is lost at 1.5 with turn 0 for good; turn 1 comes 2 s later and meets a new one."""
    bench = Bench().run_cluster(
        turns([0.0, 0.0], [-1, 0], [0.0, 2.0]),
        [deployment(FakeSteps())],
        failures=FailuresConfig(
            losses=(LossConfig(at_s=1.5, replica=0, repair_s=1.0),), max_retries=0
        ),
    )
    lost, after = served(bench)
    assert OUTCOMES[lost["outcome"]] == "failed"
    assert OUTCOMES[after["outcome"]] == "finished"
    assert arrivals([lost, after]) == [0.0, 3.5]


def test_turns_are_handed_over_as_other_requests_are():
    pools = [deployment(FakeSteps(), role="prefill"), deployment(FakeSteps(), role="decode")]
    rows = served(Bench().run_cluster(turns([0.0, 0.0], [-1, 0], [0.0, 2.0]), pools))
    assert rows[1]["arrival_s"] == rows[0]["left_s"] + 2.0 > 4.0


def test_who_follows_a_later_request_would_wait_for_ever():
    with pytest.raises(InvariantError, match="request 0 follows 1"):
        run(turns([0.0, 0.0], [1, -1], [1.0, 0.0]))


def test_users_of_a_closed_loop_think_before_they_ask():
    """Two users: 0 thinks until 1, 1 until 2; each comes back its time after an answer."""
    workload = turns([0.0] * 4, None, [1.0, 2.0, 0.5, 4.0], concurrency=2)
    rows = run(workload)
    assert arrivals(rows) == [1.0, 2.0, 4.5, 9.0]


def test_whoever_follows_nobody_costs_nothing():
    """As many events as without traits: one a step, one an arrival."""
    plain = FixedWorkload([0.0, 0.5], [4, 4], [3, 3])
    marked = FixedWorkload([0.0, 0.5], [4, 4], [3, 3], traits=make_traits(2))
    counts = [Bench().run(workload, FakeSteps()).events for workload in (plain, marked)]
    assert counts[0] == counts[1]
