import pytest
from helpers.suites import some

from simulator.trace.metrics import measure
from simulator.trace.read import Run

BASELINE = ("baseline", 0)


@pytest.fixture
def share_saturated(write_trace, queue_run):
    def share(load, requests=1500, warmup=0.1, seeds=20):
        runs = {seed: queue_run(load, requests, seed) for seed in range(seeds)}
        paths = write_trace(
            {("baseline", seed): rows for seed, (rows, _) in runs.items()},
            {("baseline", seed): rows for seed, (_, rows) in runs.items()},
        )
        found = measure(*paths, warmup)
        return sum(run.saturated for run in found.values()) / seeds

    return share


@pytest.mark.parametrize("load", some([0.3, 0.7, 0.9], 0.9))
def test_a_stable_queue_is_hardly_ever_called_saturated(share_saturated, load):
    assert share_saturated(load) <= 0.1


@pytest.mark.parametrize("load", some([1.2, 1.5, 4.0], 1.2))
@pytest.mark.parametrize("warmup", [0.0, 0.3])
def test_an_overloaded_queue_is_always_called_saturated(share_saturated, load, warmup):
    assert share_saturated(load, warmup=warmup) == 1.0


@pytest.fixture
def with_queue(write_trace, request_row, iteration_row):
    """Measure a run whose queue grows from `early` to `late` and that drains for `drain_s`."""

    def run(early, late, drain_s, batch=8, step_s=1.0):
        requests = [request_row(i, float(i), i + 0.5, i + 1.0, 2, 1) for i in range(100)]
        requests.append(request_row(100, 100.0, 100.0 + drain_s / 2, 100.0 + drain_s, 2, 1))
        iterations = [
            iteration_row(i, float(i), step_s, batch, 1, waiting=early if i < 50 else late)
            for i in range(101)
        ]
        return measure(*write_trace({BASELINE: requests}, {BASELINE: iterations}), 0.0)[
            Run(*BASELINE)
        ].saturated

    return run


@pytest.mark.parametrize(
    ("early", "late", "drain_s", "batch", "expected"),
    [
        (10, 20, 20.0, 8, True),
        (10, 15, 20.0, 8, False),  # grows by no more than half
        (1, 4, 20.0, 8, False),  # a few requests
        (10, 20, 10.0, 8, False),  # empties at once
        (10, 20, 20.0, 80, False),  # a quarter of the batch
        (10, 21, 20.0, 80, True),
        (0, 5, 10.5, 8, True),
    ],
)
def test_each_part_of_the_rule_is_needed(with_queue, early, late, drain_s, batch, expected):
    assert with_queue(early, late, drain_s, batch) is expected


@pytest.mark.parametrize(("step_s", "expected"), [(0.85, False), (0.95, True)])
def test_replicas_that_idle_between_bursts_are_not_saturated(with_queue, step_s, expected):
    assert with_queue(10, 200, 50.0, step_s=step_s) is expected


def test_a_constant_queue_however_long_is_not_saturation(with_queue):
    """As in a closed loop with more users than the batch holds."""
    assert not with_queue(500, 500, 90.0)
