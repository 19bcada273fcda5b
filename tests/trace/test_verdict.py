import pytest
from helpers.trace_rows import iteration_row, request_row

from simulator.trace.metrics import measure
from simulator.trace.read import Run
from simulator.trace.schema import TIMED_OUT
from simulator.trace.verdict import LABELS, Verdict, joint

BASELINE = ("baseline", 0)


@pytest.fixture
def judged(write_trace):
    """Judge 100 s with a batch of 8 on one replica, from the queue in each second."""

    def run(queue, lost=0, outcome=None, *, drain_s=1.0, others=()):
        requests = [request_row(i, float(i), i + 0.5, i + 0.9, 2) for i in range(100 - lost)]
        requests += [request_row(i, float(i), outcome=outcome) for i in range(100 - lost, 100)]
        requests.append(request_row(100, 100.0, 100.5, 100.0 + drain_s, 2))
        iterations = [
            iteration_row(i, float(i), 1.0, 8, 8, waiting=length) for i, length in enumerate(queue)
        ]
        paths = write_trace({BASELINE: requests}, {BASELINE: [*iterations, *others]})
        return measure(*paths, 0.0)[Run(*BASELINE)].verdict

    return run


def test_a_short_queue_is_stable(judged):
    verdict = judged([8] * 100)
    assert verdict.label == "stable"
    assert verdict.signal == "for 0.0% of the time more requests waited at a replica than decoded"


@pytest.mark.parametrize(("seconds", "label"), [(5, "stable"), (6, "backlogged")])
def test_a_queue_longer_than_the_batch_for_a_stretch_is_a_backlog(judged, seconds, label):
    verdict = judged([0] * 40 + [9] * seconds + [0] * (60 - seconds))
    assert verdict.label == label
    assert verdict.signal.startswith(f"for {seconds}.0% of the time")
    assert not verdict.saturated


def test_a_constant_queue_is_a_backlog(judged):
    """A closed loop with more users than the batch holds."""
    assert judged([500] * 100, drain_s=90.0).label == "backlogged"


def test_a_queue_that_grows_to_the_end_is_an_overload(judged):
    verdict = judged(range(100), drain_s=20.0)
    assert verdict.label == "overloaded"
    assert verdict.saturated
    assert verdict.signal == (
        "the queue of a replica grew from 12 to 87 requests and took 20 s to empty after the last "
        "arrival"
    )


def test_replicas_that_have_no_queue_do_not_excuse_one_that_grows(judged):
    """As where prefill and decode have replicas of their own."""
    idle = [iteration_row(i, float(i), 0.1, 8, 8, replica=1) for i in range(100)]
    assert judged(range(0, 300, 3), drain_s=20.0, others=idle).label == "overloaded"


@pytest.mark.parametrize(("lost", "label"), [(5, "stable"), (6, "overloaded")])
@pytest.mark.parametrize("outcome", [None, TIMED_OUT])
def test_turning_requests_away_is_an_overload_whose_latencies_stand(judged, lost, label, outcome):
    verdict = judged([0] * 100, lost, outcome)
    assert verdict.label == label
    assert not verdict.saturated
    if label == "overloaded":
        assert verdict.signal == "5.9% of the requests were turned away"


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ("s", "stable"),
        ("so", "overloaded"),
        ("sso", "stable"),
        ("sbo", "backlogged"),
        ("ssbo", "backlogged"),
        ("bbo", "backlogged"),
        ("sooo", "overloaded"),
    ],
)
def test_half_of_the_runs_decide(runs, expected):
    names = {label[0]: label for label in LABELS}
    verdict = joint([Verdict(names[each], each) for each in runs])
    assert (verdict.label, verdict.signal) == (expected, expected[0])


def test_no_run_is_no_trouble():
    assert joint([]).label == "stable"
