"""Speed held by counts, which no busy machine disturbs: events, processes, prices, rows, draws."""

import numpy as np
import pytest
import simpy
from helpers.scenarios import fixed_batch
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload

from simulator.costs.forward import ForwardCost
from simulator.streams import Streams
from simulator.study.paired import Run, run_arm
from simulator.trace.parts import read_part
from simulator.workload.requests import BLOCK_REQUESTS


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of a method, without changing what it does."""

    def count(owner, name):
        calls, method = [], getattr(owner, name)

        def counting(*arguments, **named):
            calls.append(arguments)
            return method(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)
        return calls

    return count


def open_loop(requests, *, gap_s=0.3):
    return FixedWorkload(np.arange(requests) * gap_s, [20] * requests, [30] * requests)


def closed_loop(requests, users):
    return FixedWorkload([0.0] * requests, [20] * requests, [30] * requests, concurrency=users)


@pytest.mark.parametrize("users", [1, 8, 64])
def test_a_closed_loop_takes_one_event_a_step_whatever_the_batch(users):
    bench = Bench().run(closed_loop(200, users), FakeSteps(gamma=2))
    assert bench.events == len(bench.iterations.rows) + 1  # the start of the replica's process


def test_a_front_end_adds_one_event_a_request_to_a_closed_loop():
    bench = Bench().run(closed_loop(200, 8), FakeSteps(gamma=2), front_end_s=0.5)
    steps, wakes = len(bench.iterations.rows), 1  # all users wait for the front end at first
    assert bench.events == steps + 1 + 200 + wakes


def test_an_open_loop_adds_one_event_an_arrival_and_one_a_wake_up():
    requests, replicas = 60, 3
    bench = Bench().run(open_loop(requests), FakeSteps(step_s=0.01), replicas=replicas)
    steps = len(bench.iterations.rows)
    starts, ends = replicas + 1, 1  # processes; that of the arrivals ends
    # Requests are so rare that each wakes its replica. The first arrives with the clock at zero.
    assert bench.events == steps + (requests - 1) + requests + starts + ends


@pytest.mark.parametrize("replicas", [1, 5])
@pytest.mark.parametrize("requests", [10, 200])
def test_there_is_a_process_per_replica_and_none_per_request(counted, replicas, requests):
    processes = counted(simpy.Environment, "process")
    Bench().run(open_loop(requests), FakeSteps(), replicas=replicas)
    assert len(processes) == replicas + 1
    processes.clear()
    Bench().run(closed_loop(requests, users=10), FakeSteps(), replicas=replicas)
    assert len(processes) == replicas


def test_random_numbers_come_in_blocks(counted):
    generators = counted(Streams, "block")
    scenario = fixed_batch(16, 3, output_tokens=4, requests=2 * BLOCK_REQUESTS + 1)
    Bench().run_scenario(scenario, 3)
    assert len(generators) == 3 * 3  # blocks times streams: prompts, outputs, acceptance


@pytest.mark.parametrize("gamma", [0, 3])
def test_prices_grow_with_the_shapes_seen_not_with_the_steps(counted, gamma):
    """Ten times the requests take ten times the steps and hardly more prices: 1186, then 1462."""
    calls = [
        counted(ForwardCost, name)
        for name in ("dense", "logits", "experts", "decode_attention", "prefill_attention")
    ]
    steps, prices = [], []
    for requests in (640, 6400):
        scenario = fixed_batch(64, gamma, output_tokens=200, requests=requests)
        steps.append(len(Bench().run_scenario(scenario, gamma).iterations.rows))
        prices.append(sum(map(len, calls)))
        for found in calls:
            found.clear()
    assert steps[1] > 9 * steps[0]
    assert prices[1] < 1.5 * prices[0]


def test_every_iteration_and_request_is_a_row(tmp_path):
    scenario = fixed_batch(8, 3, output_tokens=50, requests=100)
    tables = tmp_path / "requests.parquet", tmp_path / "iterations.parquet"
    run = Run("speculative", 0)
    events = run_arm(scenario, run, tables)
    requests, iterations = (read_part(run.part(table)) for table in tables)
    assert iterations.num_rows == events - 1
    assert iterations["iteration"].to_pylist() == list(range(iterations.num_rows))
    assert sorted(requests["request_id"].to_pylist()) == list(range(100))


def test_rows_are_flushed_in_blocks(monkeypatch):
    monkeypatch.setattr("simulator.serving.replica.BLOCK_ROWS", 50)
    bench = Bench()
    written = []
    bench.iterations.flush = lambda: (written.append(len(bench.iterations.rows)), drop(bench))
    bench.run(closed_loop(100, 10), FakeSteps())
    assert written
    assert set(written) == {50}


def drop(bench):
    bench.iterations.rows.clear()
