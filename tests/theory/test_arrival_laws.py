"""Arrival laws against closed forms: gaps, index of dispersion, autocovariance of the rate."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.arrivals import ARRIVALS, ArrivalParameters
from simulator.workload.markov import MarkovModulatedPoisson, RateState
from simulator.workload.renewal import GammaRenewal, WeibullRenewal

STATES = (
    RateState(rate=1.0, dwell_s=6.0),
    RateState(rate=0.0, dwell_s=3.0),
    RateState(rate=7.0, dwell_s=1.5),
)


def first(law, streams, blocks):
    return np.concatenate(list(itertools.islice(law.times(streams), blocks)))


def counts(law, window_s, span_s, replications, seed=0):
    """Counts in windows, shape (replications, windows), from the very start of each run."""
    edges = np.arange(0, span_s + window_s / 2, window_s)
    rows = []
    for replication in range(replications):
        times = []
        for block in law.times(Streams(seed, replication)):
            times.append(block)
            if block[-1] > span_s:
                break
        rows.append(np.histogram(np.concatenate(times), bins=edges)[0])
    return np.array(rows)


@pytest.mark.parametrize("law", [GammaRenewal, WeibullRenewal])
@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gaps_follow_their_law(law, cv):
    arrivals = law(4.0, cv)
    gaps_s = np.diff(first(arrivals, Streams(1), 12))
    exact = (
        stats.gamma(arrivals.shape, scale=cv**2 / 4.0)
        if law is GammaRenewal
        else stats.weibull_min(
            arrivals.shape, scale=0.25 / stats.weibull_min(arrivals.shape).mean()
        )
    )
    assert exact.mean() == pytest.approx(0.25)
    assert exact.std() == pytest.approx(cv * 0.25)
    # Gaps below what the clock resolves are left out: a Gamma law of CV 3 has many.
    long, least_s = gaps_s[gaps_s > 1e-6], exact.cdf(1e-6)
    assert long.size / gaps_s.size == pytest.approx(1.0 - least_s, abs=0.02)
    assert stats.kstest(long, lambda s: (exact.cdf(s) - least_s) / (1 - least_s)).pvalue > 1e-3


@pytest.mark.parametrize("law", [GammaRenewal(2.0, 3.0), WeibullRenewal(2.0, 3.0)])
def test_renewals_start_in_equilibrium(law):
    """The first second has its mean already: an ordinary renewal process would have far more.

    The first arrival is the residual of a gap under way, of mean ``(1 + cv^2) / (2 rate)``.
    """
    begun = [next(law.times(Streams(2, replication))) for replication in range(1200)]
    early = np.array([np.searchsorted(times_s, 1.0) for times_s in begun])
    waits_s = np.array([times_s[0] for times_s in begun])
    for values, expected in ((early, 2.0), (waits_s, 2.5)):
        error = values.std() / np.sqrt(values.size)
        assert abs(values.mean() - expected) < 4 * error
        assert error < 0.07 * expected


@pytest.mark.parametrize("law", [GammaRenewal(50.0, 2.0), WeibullRenewal(50.0, 0.5)])
def test_dispersion_of_renewal_counts_tends_to_cv_squared(law):
    found = counts(law, 20.0, 2000.0, 8)
    fano = found.var(ddof=1) / found.mean()
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], found.size - 1) / (found.size - 1)
    assert low < fano / law.cv**2 < high


def test_cv_one_is_poisson_and_rates_only_rescale():
    assert GammaRenewal(2.0, 1.0).shape == 1.0
    assert WeibullRenewal(2.0, 1.0).shape == pytest.approx(1.0)
    for law in (GammaRenewal, WeibullRenewal):
        slow, fast = first(law(1.0, 4.0), Streams(3), 2), first(law(8.0, 4.0), Streams(3), 2)
        assert fast * 8.0 == pytest.approx(slow)
    slow, fast = (first(MarkovModulatedPoisson(r, STATES), Streams(3), 4) for r in (5.0, 500.0))
    assert fast[-1] < slow[-1] / 50  # time constants stay in seconds: only counts grow


def test_autocovariance_of_a_modulated_rate_is_that_of_its_chain():
    """``pi R exp(Q h) R 1 - 1`` with the generator Q, for three states."""
    law = MarkovModulatedPoisson(3.0, STATES)
    dwell_s = np.array([state.dwell_s for state in STATES])
    shares = dwell_s / dwell_s.sum()
    rates = np.array([state.rate for state in STATES])
    rates /= rates @ shares
    generator = np.full((3, 3), 0.5) / dwell_s[:, None]
    np.fill_diagonal(generator, -1.0 / dwell_s)
    assert shares @ generator == pytest.approx(0.0, abs=1e-15)
    for lag_s in (0.0, 0.7, 5.0):
        exact = (shares * rates) @ expm(generator * lag_s) @ rates - 1.0
        parts = [m.variance * np.exp(-lag_s / m.time_constant_s) for m in law.modulations]
        assert sum(parts) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("window_s", [1.0, 10.0])
def test_markov_modulated_counts_have_the_variance_of_the_closed_form(window_s):
    law = MarkovModulatedPoisson(3.0, STATES)
    found = counts(law, window_s, 200.0, 250)
    mean = 3.0 * window_s
    squares, means = ((found / mean - 1.0) ** 2).mean(axis=1), found.mean(axis=1) / mean
    for values, expected in ((squares, law.count_cv2(window_s)), (means, 1.0)):
        error = values.std(ddof=1) / np.sqrt(values.size)
        assert abs(values.mean() - expected) < 4 * error
        assert error < 0.05 * expected


def test_two_states_are_the_textbook_case():
    """``pi_1 pi_2 (r_1 - r_2)^2`` and ``1/tau = 1/d_1 + 1/d_2``."""
    law = MarkovModulatedPoisson(
        2.0, (RateState(rate=1, dwell_s=45), RateState(rate=10, dwell_s=5))
    )
    (part,) = law.modulations
    assert part.variance == pytest.approx(0.9 * 0.1 * (9 / 1.9) ** 2)
    assert part.time_constant_s == pytest.approx(4.5)
    assert "1.05 for 45 s, 10.5 for 5 s" in law.assumption


@pytest.mark.parametrize("kind", ["gamma", "weibull", "markov_modulated"])
def test_blocks_are_seamless_whatever_the_law(kind):
    law = ARRIVALS.get(kind)(ArrivalParameters(7.0, interarrival_cv=2.5, states=STATES))
    times_s = first(law, Streams(4), 6)
    assert times_s[0] > 0.0
    assert (np.diff(times_s) >= 0.0).all()
    assert np.array_equal(first(law, Streams(4), 2), times_s[:2048])
    assert not np.array_equal(first(law, Streams(4, 1), 2), times_s[:2048])
    assert not np.array_equal(first(law, Streams(4).within("part"), 2), times_s[:2048])


def test_what_a_law_lacks_is_said():
    for kind in ("gamma", "weibull"):
        with pytest.raises(ConfigError, match=r"set workload\.interarrival_cv"):
            ARRIVALS.get(kind)(ArrivalParameters(1.0))
    with pytest.raises(ConfigError, match=r"2 states of 1 rates.*workload\.rate_states"):
        MarkovModulatedPoisson(1.0, (RateState(rate=2, dwell_s=1), RateState(rate=2, dwell_s=9)))
    with pytest.raises(ConfigError, match="rate -1 and dwell_s 3"):
        RateState(rate=-1.0, dwell_s=3.0)
