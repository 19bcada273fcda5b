import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.kernels.loggrid import LogGrid, fill_holes, grid_of

AXES = [np.array([1.0, 2.0, 8.0]), np.array([16.0, 64.0])]
TIMES = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 9.0]]) * 1e-5


def test_grid_points_are_met_exactly_and_are_measured():
    grid = LogGrid(AXES, TIMES, (1.0, 1.0))
    for i, x in enumerate(AXES[0]):
        for j, y in enumerate(AXES[1]):
            timing = grid.at(x, y)
            assert timing.seconds == pytest.approx(TIMES[i, j], rel=1e-12)
            assert timing.kind == "measured"


def test_between_points_the_time_is_a_power_law():
    grid = LogGrid([np.array([1.0, 4.0])], np.array([3.0, 12.0]), (1.0,))
    assert grid.at(2.0).seconds == pytest.approx(6.0)
    diagonal = LogGrid(AXES, TIMES, (1.0, 1.0)).at(np.sqrt(2.0), 32.0).seconds
    assert diagonal == pytest.approx((1.0 * 2.0 * 3.0 * 5.0) ** 0.25 * 1e-5)


def test_below_the_first_point_the_edge_holds():
    grid = LogGrid(AXES, TIMES, (1.0, 1.0))
    assert grid.at(0.25, 1.0).seconds == pytest.approx(TIMES[0, 0])
    assert grid.at(0.25, 1.0).kind == "measured"


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_beyond_the_last_point_the_power_law_holds_and_is_assumed(power):
    grid = LogGrid(AXES, TIMES, (power, 0.0))
    assert grid.at(24.0, 64.0).seconds == pytest.approx(TIMES[2, 1] * 3**power)
    assert grid.at(24.0, 64.0).kind == "assumed"
    assert grid.at(8.0, 640.0).seconds == pytest.approx(TIMES[2, 1])


def test_holes_inside_are_interpolated_and_count_as_measured():
    times = TIMES.copy()
    times[1, 0] = np.nan
    timing = LogGrid(AXES, times, (1.0, 1.0)).at(2.0, 16.0)
    assert timing.kind == "measured"
    assert times[0, 0] < timing.seconds < times[2, 0]


def test_holes_at_the_end_grow_as_the_line_before_and_are_assumed():
    times = TIMES.copy()
    times[2, 1] = np.nan
    grid = LogGrid(AXES, times, (1.0, 1.0))
    assert grid.at(8.0, 64.0).seconds == pytest.approx(TIMES[2, 0] * TIMES[1, 1] / TIMES[1, 0])
    assert grid.at(8.0, 64.0).kind == "assumed"
    assert grid.at(4.0, 17.0).kind == "assumed"  # one corner of the cell is
    assert grid.at(2.0, 64.0).kind == "measured"


def test_holes_at_the_end_of_the_first_line_follow_the_power_law():
    times = TIMES.copy()
    times[0, 1] = np.nan
    assert LogGrid(AXES, times, (1.0, 0.5)).at(1.0, 64.0).seconds == pytest.approx(2e-5)


def test_a_line_without_any_row_is_filled_from_its_neighbours():
    times = np.array([[1.0, 2.0], [np.nan, np.nan]])
    filled, assumed = fill_holes([np.array([1.0, 2.0]), np.array([1.0, 2.0])], times, (1.0, 1.0))
    np.testing.assert_allclose(filled, [[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_array_equal(assumed, [[False, False], [True, True]])


def test_a_hole_before_the_first_row_takes_its_time_and_is_assumed():
    filled, assumed = fill_holes([np.array([1.0, 2.0, 4.0])], np.array([np.nan, 2.0, 4.0]), (1.0,))
    np.testing.assert_allclose(filled, [2.0, 2.0, 4.0])
    np.testing.assert_array_equal(assumed, [True, False, False])


def test_rows_spread_over_the_grid_of_their_coordinates():
    axes, values = grid_of([np.array([4, 1, 4]), np.array([2, 2, 8])], np.array([1.0, 2.0, 3.0]))
    assert [axis.tolist() for axis in axes] == [[1.0, 4.0], [2.0, 8.0]]
    np.testing.assert_array_equal(values, [[2.0, np.nan], [1.0, 3.0]])


@st.composite
def monotone_grids(draw):
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    steps = draw(
        st.lists(st.floats(0, 2), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    )
    logs = np.array(steps).reshape(shape)
    for axis in range(3):
        logs = np.cumsum(logs, axis=axis)
    axes = [np.cumprod(np.full(n, 2.5)) for n in shape]
    return LogGrid(axes, 1e-6 * np.exp(logs), (1.0, 1.0, 1.0))


@given(
    monotone_grids(),
    st.lists(st.tuples(st.floats(0.5, 300), st.floats(1, 4)), min_size=3, max_size=3),
)
def test_a_monotone_table_gives_monotone_positive_finite_times(grid, places):
    low = grid.at(*[x for x, _ in places]).seconds
    high = grid.at(*[x * factor for x, factor in places]).seconds
    assert 0 < low <= high * (1 + 1e-12) < np.inf


@given(st.floats(1, 8), st.floats(16, 64))
def test_a_cell_never_leaves_the_range_of_its_corners(x, y):
    value = LogGrid(AXES, TIMES, (1.0, 1.0)).at(x, y).seconds
    assert TIMES.min() * (1 - 1e-12) <= value <= TIMES.max() * (1 + 1e-12)
