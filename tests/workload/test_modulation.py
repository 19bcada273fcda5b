"""The rate path: marginal, autocovariance and integral are those of its closed forms."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.modulation import Modulation, rate_windows
from simulator.workload.presets import read_preset

CHAT = read_preset("chat").modulations
CODE = read_preset("code").modulations
STRONG = (Modulation(0.5, 2.0), Modulation(1.5, 30.0))


def path(modulations, streams, steady=0.0):
    return rate_windows(modulations, steady, sum(m.variance for m in modulations), streams)


def value_at(window, time_s):
    """The multiplier at times within a window, from its levels, written out anew."""
    at = np.searchsorted(window.start_s, time_s, side="right") - 1
    age = time_s - window.start_s[at]
    return window.steady + (window.level[:, at] * np.exp(-age / window.time_constant_s)).sum(axis=0)


@pytest.fixture(scope="module", params=[CODE, STRONG], ids=["code", "strong"])
def ensemble(request):
    """Multiplier at time 0 and some lags, over many replications."""
    modulations = request.param
    lags_s = np.array([0.0, 1.0, 5.0, 20.0])
    values = np.array(
        [value_at(next(path(modulations, Streams(3, r))), lags_s) for r in range(4000)]
    )
    return modulations, lags_s, values


def test_marginal_is_gamma_at_every_time(ensemble):
    modulations, _, values = ensemble
    variance = sum(m.variance for m in modulations)
    for column in values.T:
        test = stats.kstest(column, stats.gamma(1 / variance, scale=variance).cdf)
        assert test.pvalue > 1e-4


def test_autocovariance_is_the_sum_of_exponentials(ensemble):
    modulations, lags_s, values = ensemble
    for lag_s, column in zip(lags_s, values.T, strict=True):
        product = (values[:, 0] - 1) * (column - 1)
        expected = sum(m.variance * np.exp(-lag_s / m.time_constant_s) for m in modulations)
        error = product.std(ddof=1) / np.sqrt(product.size)
        assert abs(product.mean() - expected) < 4 * error


def test_marginal_survives_the_change_of_window():
    variance = CODE[0].variance
    later = [
        next(itertools.islice(path(CODE, Streams(4, r)), 2, None)).level[:, 0].sum()
        for r in range(1500)
    ]
    assert stats.kstest(later, stats.gamma(1 / variance, scale=variance).cdf).pvalue > 1e-4


def test_windows_join_without_a_step():
    first, second = itertools.islice(path(STRONG, Streams(5), steady=0.25), 2)
    end_s = first.start_s[-1] + first.length_s[-1]
    assert second.start_s[0] == pytest.approx(end_s)
    assert second.integral_s[0] == first.integral_s[-1]
    assert value_at(first, np.array([end_s])) == pytest.approx(value_at(second, np.array([end_s])))


def test_integral_agrees_with_quadrature():
    window = next(path(STRONG, Streams(6), steady=0.25))
    boundaries = np.append(window.start_s, window.start_s[-1] + window.length_s[-1])

    def multiplier(time_s):
        return float(value_at(window, np.array([time_s]))[0])

    assert window.length_s.size > 20
    for i in (0, 7, 20, window.length_s.size - 1):
        area, _ = integrate.quad(multiplier, boundaries[i], np.nextafter(boundaries[i + 1], 0))
        assert window.integral_s[i + 1] - window.integral_s[i] == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize("modulations", [CHAT, CODE, STRONG], ids=["chat", "code", "strong"])
@pytest.mark.parametrize("steady", [0.0, 0.25])
def test_times_invert_the_integral(modulations, steady):
    for window in itertools.islice(path(modulations, Streams(7), steady), 3):
        wanted = np.linspace(window.integral_s[0], window.integral_s[-1], 5001)
        times_s = window.times_at(wanted)
        assert (np.diff(times_s) > -1e-9).all()
        at = np.clip(np.searchsorted(window.start_s, times_s, "right") - 1, 0, None)
        age_s = times_s - window.start_s[at]
        tau = window.time_constant_s
        reached = window.integral_s[at] + window.steady * age_s
        reached += (window.level[:, at] * tau * -np.expm1(-age_s / tau)).sum(axis=0)
        assert np.abs(reached - wanted).max() < 1e-7


def test_times_at_copes_with_a_rate_that_vanishes():
    # A multiplier that decays for 300 time constants: hardly any area in its second half.
    window = next(path((Modulation(1e4, 1.0),), Streams(8)))
    wanted = window.integral_s[-1] * np.array([0.0, 0.5, 1.0 - 1e-15, 1.0])
    times_s = window.times_at(wanted)
    assert np.isfinite(times_s).all()
    assert (times_s >= 0).all()
    assert (times_s <= 300 * (1 + 1e-12)).all()


def test_path_is_a_function_of_the_streams_alone():
    one, two = (list(itertools.islice(path(CHAT, Streams(9, 2)), 3)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.integral_s, b.integral_s)
    other = next(path(CHAT, Streams(9, 3)))
    assert other.integral_s[-1] != one[0].integral_s[-1]


def test_excess_count_variance_has_the_right_limits():
    modulation = Modulation(2.0, 10.0)
    assert modulation.excess_count_cv2(1e-3) == pytest.approx(2.0, rel=1e-3)
    assert modulation.excess_count_cv2(1e5) == pytest.approx(2 * 2.0 * 10.0 / 1e5, rel=1e-3)
    double, _ = integrate.dblquad(
        lambda s, t: 2.0 * np.exp(-abs(s - t) / 10.0), 0, 20, 0, lambda t: t
    )
    assert modulation.excess_count_cv2(20.0) == pytest.approx(2 * double / 20.0**2, rel=1e-6)


@pytest.mark.parametrize(
    ("variance", "tau"), [(-1, 1), (1, 0), (1, -2), (float("nan"), 1), (1, float("inf"))]
)
def test_impossible_modulations_are_refused(variance, tau):
    with pytest.raises(ConfigError, match="modulation"):
        Modulation(variance, tau)
