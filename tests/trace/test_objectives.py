"""Goodput, attainment, outcomes and classes against figures worked out by hand."""

import math

import numpy as np
import pytest
from helpers.trace_rows import request_row
from hypothesis import given
from hypothesis import strategies as st

from simulator.slo import SloConfig
from simulator.trace.metrics import measure
from simulator.trace.objectives import Objectives, read_objectives
from simulator.trace.read import Run
from simulator.trace.schema import CANCELLED, FAILED, TIMED_OUT

BASELINE = ("baseline", 0)
SLO = {"ttft_s": 1.0, "tpot_s": 0.2, "e2e_s": None, "share": 0.9}
STRICT = {"ttft_s": 0.1, "tpot_s": None, "e2e_s": None, "share": 0.5}
ROWS = [
    request_row(0, 0.0, 0.5, 1.5, 11),  # in time
    request_row(1, 1.0, 2.0, 3.0, 6),  # at both bounds exactly: in time
    request_row(2, 2.0, 3.5, 4.0, 11),  # TTFT too long
    request_row(3, 3.0, 3.5, 6.5, 11),  # TPOT too long
    request_row(4, 4.0, 6.0, 9.0, 11),  # both
    request_row(5, 5.0, 5.5, 5.5, 1),  # one token: no TPOT to miss
    request_row(6, 6.0),  # rejected
    request_row(7, 7.0, outcome=TIMED_OUT),
    request_row(8, 8.0, 8.1, admitted_s=8.0, outcome=CANCELLED, emitted_tokens=3),
    request_row(9, 10.0, 10.2, 10.3, 2),  # in time, but after the window
]


@pytest.fixture
def measured(write_trace):
    def run(rows, warmup=0.0, **config):
        paths = write_trace({BASELINE: rows}, {BASELINE: []}, config)
        return measure(*paths, warmup)[Run(*BASELINE)]

    return run


def test_attainment_counts_all_that_arrive(measured):
    run = measured(ROWS, slo=SLO)
    assert run.attainment == 4 / 10
    assert run.missed == {"ttft_s": 2 / 10, "tpot_s": 2 / 10, "e2e_s": 0.0}


def test_goodput_counts_what_finishes_in_time_within_the_window(measured):
    run = measured(ROWS, slo=SLO)
    assert run.window.length_s == 10.0
    assert run.requests_per_s == 6 / 10.0
    assert run.goodput_per_s == 3 / 10.0


def test_the_warm_up_is_cut_from_both(measured):
    run = measured(ROWS, warmup=0.2, slo=SLO)
    assert run.attainment == 2 / 8
    assert run.goodput_per_s == 2 / 8.0  # requests 1 and 5 finish after 2 s


def test_what_does_not_finish_is_in_no_percentile(measured):
    run = measured(ROWS, slo=SLO)
    assert run.latencies["ttft_s"].size == run.latencies["e2e_s"].size == 7
    assert run.latencies["tpot_s"].size == 6
    assert run.latencies["queue_s"].size == 8  # the one that was cancelled had come in


def test_time_to_first_token_from_admission_leaves_out_the_queue(measured):
    rows = [request_row(i, float(i), i + 3.0, i + 4.0, 2, admitted_s=i + 2.5) for i in range(9)]
    run = measured(rows)
    np.testing.assert_allclose(run.latencies["ttft_from_admission_s"], 0.5)
    np.testing.assert_allclose(run.latencies["queue_s"], 2.5)
    np.testing.assert_allclose(run.latencies["ttft_s"], 3.0)


def test_outcomes_are_counted_over_the_run_and_shared_over_the_window(measured):
    rows = [*ROWS, request_row(10, 10.0, outcome=FAILED)]
    run = measured(rows, warmup=0.1)
    counts = {"finished": 7, "rejected": 1, "timed_out": 1, "cancelled": 1, "failed": 1}
    assert run.outcomes == counts
    assert run.outcome_shares == {name: n / 10 for name, n in (counts | {"finished": 6}).items()}
    assert (run.completed, run.rejected) == (7, 1)


def test_without_an_objective_nothing_is_promised(measured):
    run = measured(ROWS)
    assert run.goodput_per_s is run.attainment is None
    assert run.missed == {}
    unbounded = measured(ROWS, slo=dict.fromkeys(SLO) | {"share": 0.9})
    assert unbounded.attainment is None


def test_a_class_may_have_its_own_objective(measured):
    rows = [request_row(i, float(i), i + 0.5, i + 1.5, 11, traffic_class=i % 2) for i in range(10)]
    classes = [{"name": "chat"}, {"name": "agent", "slo": STRICT}]
    run = measured(rows, slo=SLO, workload={"traffic_classes": classes})
    assert run.attainment == 0.5
    assert [(run.classes[i].requests, run.classes[i].attained) for i in (0, 1)] == [(5, 5), (5, 0)]
    assert run.classes[0].goodput_per_s == run.goodput_per_s
    assert run.classes[1].goodput_per_s == 0.0
    assert run.classes[1].latencies["e2e_s"].tolist() == [1.5] * 5


def test_a_class_is_promised_something_though_the_rest_is_not(measured):
    rows = [request_row(i, float(i), i + 0.5, i + 1.5, 11, traffic_class=i % 2) for i in range(10)]
    classes = [{"name": "chat", "slo": None}, {"name": "agent", "slo": STRICT}]
    run = measured(rows, workload={"traffic_classes": classes})
    assert run.attainment == 0.5


def test_the_prefix_hit_rate_is_over_the_tokens_of_those_that_come_in(measured):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 2, cached_tokens=i) for i in range(5)]
    assert measured([*rows, request_row(5, 5.0)]).prefix_hit_rate == 10 / 50
    assert measured([request_row(0, 0.0)]).prefix_hit_rate is None


def test_objectives_come_from_the_notes_of_the_trace(write_trace):
    classes = [{"name": "chat", "share": 0.7, "slo": None}, {"name": "agent", "slo": STRICT}]
    config = {"slo": SLO, "workload": {"kind": "preset", "traffic_classes": classes}}
    found = read_objectives(write_trace({BASELINE: []}, {BASELINE: []}, config)[0])
    assert found == Objectives(SloConfig(**SLO), ("chat", "agent"), (None, SloConfig(**STRICT)))
    assert [found.name(index) for index in range(3)] == ["chat", "agent", "class 2"]
    assert [found.of(index).share for index in range(3)] == [0.9, 0.5, 0.9]


@pytest.mark.parametrize("config", [{}, {"workload": None}, {"workload": {"traffic_classes": []}}])
def test_notes_that_promise_nothing_are_no_error(write_trace, config):
    found = read_objectives(write_trace({BASELINE: []}, {BASELINE: []}, config)[0])
    assert not found.given
    assert found.name(0) == "class 0"


times = st.floats(0.0, 1e4) | st.just(math.nan)


@given(
    st.lists(st.tuples(times, times, times, st.integers(0, 3)), max_size=30),
    st.lists(st.none() | st.floats(1e-3, 1e3), min_size=3, max_size=3),
)
def test_a_bound_is_missed_by_what_exceeds_it_whatever_the_rest(rows, bounds_s):
    own = SloConfig(**dict(zip(("ttft_s", "tpot_s", "e2e_s"), bounds_s, strict=True)))
    objectives = Objectives(SloConfig(), ("a", "b"), (None, own))
    columns = np.array([row[:3] for row in rows]).reshape(-1, 3).T
    classes = np.array([row[3] for row in rows], dtype=np.int64)
    found = objectives.missed(
        dict(zip(("ttft_s", "tpot_s", "e2e_s"), columns, strict=True)), classes
    )
    for index, bound_s in enumerate(bounds_s):
        expected = [row[3] == 1 and bound_s is not None and row[index] > bound_s for row in rows]
        assert found[("ttft_s", "tpot_s", "e2e_s")[index]].tolist() == expected
