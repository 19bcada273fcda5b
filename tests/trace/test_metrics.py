"""Metrics against figures worked out by hand."""

import math
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.trace_rows import request_column
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.trace import merge as merge_room
from simulator.trace.latencies import enough, percentile
from simulator.trace.load import LONGEST_QUEUE, Load
from simulator.trace.metrics import measure
from simulator.trace.read import Run
from simulator.trace.schema import CANCELLED, ITERATIONS, row_columns, with_notes
from simulator.trace.windows import Window

BASELINE = ("baseline", 0)
ADMITTED, FINISH = request_column("admitted_s"), request_column("finish_s")


@pytest.fixture
def measured(write_trace, request_row, iteration_row):
    """Return a run with arrivals from 0 to 10 s: with warm-up 0.2 the window is [2, 10]."""
    requests = [
        request_row(0, 0.0, 0.5, 1.0, 6, 5, preemptions=2),  # before the window
        request_row(1, 2.0, 2.5, 4.5, 5, 4, 0),  # ttft .5, tpot .5, e2e 2.5
        request_row(2, 4.0, 5.0, 5.0, 1, 0, 0),  # ttft 1, no tpot, e2e 1
        request_row(3, 6.0),  # rejected
        request_row(4, 10.0, 10.25, 12.25, 9, 4, 4),  # ttft .25, tpot .25, e2e 2.25
    ]
    iterations = [
        iteration_row(0, 0.0, 1.0, 1, 6, active_experts=8.0, kv_usage=1.0),
        # Half of it in the window; its tokens are out at 3 s, in the window; not a step of it.
        iteration_row(1, 1.0, 2.0, 2, 7, active_experts=10.0, kv_usage=0.25, query_tokens=9),
        # A pure decode step; three-quarters of the work of the other replica.
        iteration_row(0, 4.0, 3.0, 4, 12, replica=1, active_experts=20.0, query_tokens=4),
        # Prefill and decode: not a step.
        iteration_row(
            2, 5.0, 0.5, 1, 2, prefill_tokens=10, active_experts=12.0, kv_usage=0.75, query_tokens=3
        ),
        # Prefill alone: busy, no batch.
        iteration_row(3, 6.0, 0.5, 0, 1, prefill_tokens=10, active_experts=64.0),
        # Starts in the window, ends beyond: a step, but its tokens come too late.
        iteration_row(4, 9.0, 2.0, 3, 5, active_experts=16.0),
    ]
    return measure(*write_trace({BASELINE: requests}, {BASELINE: iterations}), 0.2)[Run(*BASELINE)]


def test_latencies_are_those_of_finished_requests_in_the_window(measured):
    np.testing.assert_allclose(measured.latencies["ttft_s"], [0.5, 1.0, 0.25])
    np.testing.assert_allclose(measured.latencies["tpot_s"], [0.5, 0.25])
    np.testing.assert_allclose(measured.latencies["e2e_s"], [2.5, 1.0, 2.25])


def test_counts_cover_the_whole_run(measured):
    assert (measured.completed, measured.rejected) == (4, 1)
    assert (measured.preempted, measured.preemptions) == (1, 2)


def test_the_window_ends_with_the_last_arrival(measured):
    window = measured.window
    assert (window.start_s, window.end_s, window.length_s) == (2.0, 10.0, 8.0)
    assert window.drain_s == 2.25
    assert window.quarters_s() == [(2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0)]
    assert not window.burst


def test_throughput_counts_what_comes_out_in_the_window(measured):
    assert measured.load.output_tokens_per_s == (7 + 12 + 2 + 1) / 8.0
    assert measured.requests_per_s == 2 / 8.0  # at 4.5 and 5 s


def test_batch_and_experts_are_averaged_over_decoding_time(measured):
    decode_s = 1.0 + 3.0 + 0.5 + 1.0
    assert measured.load.mean_batch == pytest.approx((2 + 12 + 0.5 + 3) / decode_s)
    assert measured.load.active_experts == pytest.approx((10 + 60 + 6 + 16) / decode_s)
    assert measured.load.mean_context_tokens == pytest.approx(100 * decode_s / 17.5)


def test_kv_usage_is_averaged_over_busy_time(measured):
    busy_s = 1 + 3 + 0.5 + 0.5 + 1
    shares = 1 * 0.25 + 0.5 * 0.75 + (busy_s - 1.5) * 0.5
    assert measured.load.kv_usage == pytest.approx(shares / busy_s)
    assert measured.load.kv_usage_peak == 0.75  # the full cache lies before the window


def test_draft_tokens_are_those_of_rounds_that_start_in_the_window(measured):
    assert measured.load.mean_draft_tokens == (4 * 3 + 1 * 2 + 3 * 0) / (4 + 1 + 3)


def test_a_step_only_decodes_and_starts_in_the_window(measured):
    assert measured.load.step_s == pytest.approx((3.0 + 2.0) / 2)


def test_utilisation_is_over_the_replicas_seen(measured):
    assert measured.load.utilisation == pytest.approx((1 + 3 + 0.5 + 0.5 + 1) / (8.0 * 2))


def test_acceptance_length_counts_the_measured_requests(measured):
    assert (measured.rounds, measured.accepted_draft_tokens) == (8, 4)
    assert measured.mean_acceptance_length == 1 + 4 / 8


def test_without_warm_up_the_window_starts_with_the_first_arrival(
    write_trace, request_row, iteration_row
):
    requests = [request_row(i, 5.0 + i, 5.5 + i, 6.0 + i, 2, 1) for i in range(4)]
    iterations = [iteration_row(i, 5.5 + i, 0.5, 1, 1) for i in range(4)]
    found = measure(*write_trace({BASELINE: requests}, {BASELINE: iterations}), 0.0)
    assert found[Run(*BASELINE)].latencies["e2e_s"].tolist() == [1.0] * 4
    assert found[Run(*BASELINE)].window.start_s == 5.0


def test_a_burst_is_measured_whole(write_trace, request_row, iteration_row):
    requests = [request_row(i, 0.1 * i, 5.0, 10.0, 11, 10) for i in range(5)]
    iterations = [iteration_row(0, 0.0, 10.0, 5, 55)]
    found = measure(*write_trace({BASELINE: requests}, {BASELINE: iterations}), 0.5)
    run = found[Run(*BASELINE)]
    assert (run.window.burst, run.window.start_s, run.window.end_s) == (True, 0.0, 10.0)
    assert run.load.output_tokens_per_s == 5.5
    assert run.latencies["ttft_s"].size == 5
    assert run.window.drain_s == 0.0


def test_one_burst_makes_all_runs_be_measured_alike(write_trace, request_row):
    slow = [request_row(i, float(i), 50.0, 90.0, 11, 10) for i in range(5)]
    fast = [request_row(i, float(i), i + 0.5, i + 1.0, 11, 10) for i in range(5)]
    runs = {BASELINE: slow, ("speculative", 0): fast}
    found = measure(*write_trace(runs, {BASELINE: []}), 0.1)
    assert all(run.window.burst for run in found.values())


def test_an_overload_however_heavy_is_not_a_burst(write_trace, request_row):
    rows = [
        request_row(i, 0.01 * i, float(i), i + 0.5, 2, 1, admitted_s=float(i)) for i in range(100)
    ]
    run = measure(*write_trace({BASELINE: rows}, {BASELINE: []}), 0.1)[Run(*BASELINE)]
    assert not run.window.burst


def test_a_run_in_which_nothing_finishes_has_no_figures(write_trace, request_row):
    requests = [request_row(i, 0.0) for i in range(3)]
    found = measure(*write_trace({BASELINE: requests}, {BASELINE: []}), 0.1)[Run(*BASELINE)]
    assert (found.completed, found.rejected) == (0, 3)
    assert found.requests_per_s is found.mean_acceptance_length is None
    load = found.load
    assert load.output_tokens_per_s is load.mean_batch is load.step_s is load.utilisation is None
    assert percentile(found.latencies["ttft_s"], 0.5) is None
    assert not found.saturated


def test_iterations_of_runs_without_requests_are_left_out(write_trace, request_row, iteration_row):
    requests = {BASELINE: [request_row(0, 0.0, 1.0, 2.0)]}
    iterations = {BASELINE: [], ("speculative", 0): [iteration_row(0, 0.0, 1.0, 1, 1)]}
    assert list(measure(*write_trace(requests, iterations), 0.1)) == [Run(*BASELINE)]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, math.nan])
def test_a_warm_up_outside_the_run_is_refused(write_trace, fraction):
    paths = write_trace({BASELINE: []}, {BASELINE: []})
    with pytest.raises(ConfigError, match=r"warmup_fraction is .*must be in \[0, 1\)"):
        measure(*paths, fraction)


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 200), (0.9, 1000), (0.99, 10_000)])
def test_percentiles_need_a_hundred_samples_beyond_them(quantile, needed):
    assert enough(needed, quantile)
    assert not enough(needed - 1, quantile)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_percentiles_lie_between_the_order_statistics_around_them(values, quantile):
    found = percentile(np.array(values), quantile)
    ordered, rank = sorted(values), quantile * (len(values) - 1)
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    tolerance = 1e-9 * (1 + high)
    assert low - tolerance <= found <= high + tolerance


def test_queue_figures_obey_littles_law(write_trace, queue_run):
    """L = lambda W: the mean number in service is the throughput times the mean service time."""
    requests, iterations = queue_run(0.7, 4000, seed=3)
    found = measure(*write_trace({BASELINE: requests}, {BASELINE: iterations}), 0.1)
    run = found[Run(*BASELINE)]
    in_service = run.load.mean_batch * run.load.utilisation
    mean_service_s = np.mean([row[FINISH] - row[ADMITTED] for row in requests])
    assert in_service == pytest.approx(run.requests_per_s * mean_service_s, rel=0.03)


def test_every_row_group_is_read_once(write_trace, request_row, iteration_row, monkeypatch):
    """Speed by counts: one pass over each file, whatever is measured."""
    monkeypatch.setattr(merge_room, "ROW_GROUP_ROWS", 16)
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 2, tenant=i % 3) for i in range(50)]
    steps = [iteration_row(i, float(i), 1.0, 1, 1) for i in range(100)]
    paths = write_trace({BASELINE: rows}, {BASELINE: steps}, {"slo": {"ttft_s": 1.0}})
    read = []
    original = pq.ParquetFile.read_row_group

    def spy(file, index, **options):
        read.append(index)
        return original(file, index, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    measure(*paths, 0.1)
    assert read == [*range(4), *range(7)]


def test_what_is_kept_of_iterations_does_not_grow_with_them(iteration_row):
    names = row_columns(ITERATIONS)

    def kept(iterations, longest):
        load = Load(Window(0.0, 1e6, 1e6, burst=False))
        for first in range(0, iterations, 50):
            rows = [
                iteration_row(i, float(i), 1.0, 1, 1, replica=i % 4, waiting=i % longest)
                for i in range(first, first + 50)
            ]
            columns = zip(*rows, strict=True)
            load.add(dict(zip(names, map(np.array, columns), strict=True)))
        return sum(np.size(getattr(load, field.name)) for field in fields(load))

    assert kept(500, longest=10) == kept(50, longest=10)
    assert kept(50, longest=10**9) < 2 * LONGEST_QUEUE


def test_an_outcome_is_read_by_its_name_wherever_a_tool_put_it(write_trace, request_row, tmp_path):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 2) for i in range(3)]
    rows.append(request_row(3, 3.0, outcome=CANCELLED))
    requests, iterations = write_trace({BASELINE: rows}, {BASELINE: []})
    with pq.ParquetFile(requests) as file:
        table = file.read()
    column = pa.array(table["outcome"].to_pylist()).dictionary_encode()
    assert column.dictionary.to_pylist() == ["finished", "cancelled"]
    place = table.schema.get_field_index("outcome")
    schema = with_notes(table.schema, {"complete": "true"})
    changed = table.set_column(place, "outcome", column).replace_schema_metadata(schema.metadata)
    pq.write_table(changed, tmp_path / "changed.parquet")
    found = measure(tmp_path / "changed.parquet", iterations, 0.0)[Run(*BASELINE)]
    assert found.outcomes == measure(requests, iterations, 0.0)[Run(*BASELINE)].outcomes
    assert found.outcomes["cancelled"] == 1
