import numpy as np
import pytest
from helpers.trace_rows import iteration_row
from hypothesis import given
from hypothesis import strategies as st

from simulator.trace.read import Run
from simulator.trace.timeline import _until, timelines

BASELINE = ("baseline", 0)


@pytest.fixture
def timeline(write_trace):
    def run(rows, end_s, bins):
        _, iterations = write_trace({BASELINE: []}, {BASELINE: rows})
        return timelines(iterations, end_s, bins)[Run(*BASELINE)]

    return run


def test_levels_are_averaged_over_the_time_of_a_bin(timeline):
    rows = [
        iteration_row(0, 0.0, 1.0, 2, 2, waiting=4, kv_usage=0.5),
        # Spans three bins; idle from 1 to 1.5 s and from 5 s on.
        iteration_row(1, 1.5, 3.5, 6, 6, waiting=1, kv_usage=1.0),
    ]
    found = timeline(rows, 8.0, 4)
    assert found.edges_s.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    np.testing.assert_allclose(found.waiting, [(4 + 0.5) / 2, 1.0, 0.5, 0.0])
    np.testing.assert_allclose(found.decoding, [(2 + 3) / 2, 6.0, 3.0, 0.0])
    np.testing.assert_allclose(found.kv_usage, [(0.5 + 0.5) / 1.5, 1.0, 1.0, 0.0])


def test_replicas_add_their_requests_and_average_their_cache(timeline):
    rows = [iteration_row(0, 0.0, 4.0, 3, 3, replica=r, waiting=2, kv_usage=r / 2) for r in (0, 1)]
    found = timeline(rows, 4.0, 2)
    assert found.waiting.tolist() == [4.0, 4.0]
    assert found.decoding.tolist() == [6.0, 6.0]
    assert found.kv_usage.tolist() == [0.25, 0.25]


def test_a_replica_that_comes_later_does_not_dilute_a_full_cache(timeline):
    rows = [
        iteration_row(0, 0.0, 4.0, 3, 3, replica=0, waiting=9, kv_usage=1.0),
        iteration_row(1, 2.0, 2.0, 3, 3, replica=5, kv_usage=0.2),
    ]
    np.testing.assert_allclose(timeline(rows, 4.0, 2).kv_usage, [1.0, 0.6])


def test_what_runs_beyond_the_end_is_cut(timeline):
    found = timeline([iteration_row(0, 1.0, 9.0, 4, 4)], 2.0, 2)
    np.testing.assert_allclose(found.decoding, [0.0, 4.0])


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 100)), min_size=1, max_size=20
    ),
    st.integers(1, 17),
)
def test_the_integral_over_all_bins_is_that_of_the_intervals(intervals, bins):
    starts_s, lengths_s, values = (np.array(each) for each in zip(*intervals, strict=True))
    ends_s = starts_s + lengths_s
    found = _until(ends_s, values, 20.0, bins) - _until(starts_s, values, 20.0, bins)
    assert found.sum() == pytest.approx(values @ lengths_s, abs=1e-9)
    assert found.min() >= -1e-9
    edges_s = np.linspace(0.0, 20.0, bins + 1)
    for index in range(bins):
        overlap_s = np.minimum(ends_s, edges_s[index + 1]) - np.maximum(starts_s, edges_s[index])
        assert found[index] == pytest.approx(values @ np.maximum(overlap_s, 0.0), abs=1e-9)
