"""What must hold of MoESD's performance model for any parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.speculation.growth import growth
from simulator.speculation.performance import NAMES, Parameters, Points, jacobian, predict
from simulator.study.calibration.bounds import open_bounds
from simulator.study.calibration.estimates import estimates
from simulator.study.intervals import Determined

RIDGE = 153.0

times = st.floats(1e-6, 1e-1)
parameters = st.builds(
    Parameters, *[times] * 8, st.floats(0.2, 1.0), st.floats(1.0, 1.2)
)  # s up to 1.2: 1.2 to the ridge is 10^12 already
points = st.builds(
    Points.of,
    st.lists(st.integers(1, 512), min_size=1, max_size=5),
    st.integers(1, 8),
    st.integers(1, 16),
    st.integers(16, 256),
    st.floats(0.5, 1.0),
    st.just(RIDGE),
)


@given(parameters, points)
def test_a_verify_step_costs_a_plain_step_at_least_and_gamma_of_them_about(theta, where):
    """Times are at least those of one token more, and grow at most as compute does."""
    found = predict(theta, where)
    assert np.all(found.verify_step_s >= found.ar_step_s * (1 - 1e-12))
    # Where every part is a load or linear beyond the ridge, gamma times the work is gamma times
    # the time at most; below the ridge growth is exponential by the paper's choice.
    if theta.s == 1.0:
        assert np.all(found.verify_step_s <= where.gamma * found.ar_step_s * (1 + 1e-12))


@given(parameters, points)
def test_a_speedup_is_positive_and_below_what_a_round_can_yield(theta, where):
    speedup = predict(theta, where).speedup
    assert np.all(speedup > 0)
    assert np.all(speedup < where.sigma * (where.gamma + 1) * (1 + 1e-12))


@given(parameters, points, st.floats(0.01, 100))
def test_the_unit_of_time_leaves_speedups_alone(theta, where, factor):
    other = Parameters(*(factor * x for x in theta[:8]), *theta[8:])
    one, two = predict(theta, where), predict(other, where)
    assert two.speedup == pytest.approx(one.speedup, rel=1e-9)
    assert two.ar_step_s == pytest.approx(factor * one.ar_step_s, rel=1e-9)
    # So the scale is a null direction of the speedups' Jacobian, whatever the point.
    scale = np.array([*theta[:8], 0, 0])
    slopes = jacobian(theta, where).speedup
    assert np.abs(slopes @ scale) == pytest.approx(0, abs=1e-9 * np.abs(slopes * scale).max())


@given(parameters, points)
def test_more_requests_never_make_a_step_shorter(theta, where):
    twice = Points.of(2 * where.batch, where.gamma, where.top_k, where.experts, 1.0, RIDGE)
    for less, more in zip(predict(theta, where)[:4], predict(theta, twice)[:4], strict=True):
        assert np.all(more >= less * (1 - 1e-12))


@given(st.floats(1, 200), st.floats(1, 1.2), st.lists(st.floats(0.1, 1e4), min_size=2))
def test_growth_never_falls_and_is_never_below_one(ridge, base, tokens):
    values = growth(np.sort(tokens), ridge, base)
    assert np.all(values >= 1)
    assert np.all(np.diff(values) >= 0)


@given(parameters, points)
def test_what_one_row_determines_is_at_most_its_values(theta, where):
    slopes = np.vstack(jacobian(theta, where)[:4])
    units = np.array(theta)
    assert Determined(slopes, units).rank <= min(len(slopes), len(NAMES))


@given(parameters)
def test_estimates_stay_within_bounds_and_hold_the_solution(theta):
    where = Points.of([1, 2, 4, 8, 16, 32, 64, 128], 4, 8, 64, 0.9, RIDGE)
    slopes = np.vstack(jacobian(theta, where))
    step_s = float(predict(theta, where).ar_step_s[0])
    told = list(estimates(np.array(theta), slopes, 1e-3, open_bounds(), None, step_s))
    assert [estimate.name for estimate in told] == list(NAMES)
    for estimate, value in zip(told, theta, strict=True):
        assert estimate.value == value
        assert estimate.low <= value <= estimate.high
        if estimate.determined and np.isfinite(estimate.low):
            assert estimate.low >= 0
