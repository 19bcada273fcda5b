"""Arrival laws: rates, dispersion and the closed form of count variance; blocks are seamless."""

import itertools

import numpy as np
import pytest
from helpers.suites import some
from scipy import stats

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.arrivals import (
    ARRIVALS,
    ArrivalParameters,
    GammaModulatedPoisson,
    Poisson,
)
from simulator.workload.modulation import Modulation, rate_windows
from simulator.workload.presets import read_preset
from simulator.workload.requests import BLOCK_REQUESTS

CHAT = read_preset("chat")
CODE = read_preset("code")


def first(law, streams, blocks):
    return np.concatenate(list(itertools.islice(law.times(streams), blocks)))


def counts(law, streams, window_s, span_s):
    """Counts in successive windows of one realisation."""
    times = []
    for block in law.times(streams):
        times.append(block)
        if block[-1] > span_s:
            break
    edges = np.arange(0, span_s + window_s / 2, window_s)
    return np.histogram(np.concatenate(times), bins=edges)[0]


def test_poisson_has_its_rate():
    n = 50 * BLOCK_REQUESTS
    times_s = first(Poisson(4.0), Streams(1), 50)
    # The n-th arrival is Gamma(n, 1/rate).
    assert abs(times_s[-1] - n / 4.0) < 4 * np.sqrt(n) / 4.0


def test_poisson_gaps_are_exponential():
    gaps_s = np.diff(first(Poisson(4.0), Streams(2), 20))
    assert stats.kstest(gaps_s, stats.expon(scale=0.25).cdf).pvalue > 1e-4


@pytest.mark.parametrize("window_s", [0.5, 5.0, 50.0])
def test_poisson_counts_have_fano_factor_one(window_s):
    windows = 1000
    sample = counts(Poisson(3.0), Streams(3), window_s, windows * window_s)
    fano = sample.var(ddof=1) / sample.mean()
    # (n - 1) Fano is chi-squared with n - 1 degrees of freedom, about.
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], windows - 1) / (windows - 1)
    assert low < fano < high


@pytest.mark.parametrize("preset", [CHAT, CODE], ids=["chat", "code"])
@pytest.mark.parametrize("rate", [None, 20.0])
@pytest.mark.parametrize("window_s", some([1.0, 10.0, 60.0], 10.0))
def test_modulated_counts_match_the_closed_form_at_any_rate(preset, rate, window_s):
    rate = rate or preset.rate
    law = GammaModulatedPoisson(rate, preset.modulations)
    mean = rate * window_s
    squares, means = [], []
    for replication in range(250):
        sample = counts(law, Streams(4, replication), window_s, 240.0)
        squares.append(((sample - mean) ** 2).mean() / mean**2)
        means.append(sample.mean() / mean)
    for values, expected in ((squares, law.count_cv2(window_s)), (means, 1.0)):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 4 * error
        assert error < 0.2 * expected


def test_modulated_counts_are_far_from_poisson():
    law = GammaModulatedPoisson(CODE.rate, CODE.modulations)
    fano = [
        (sample := counts(law, Streams(5, r), 1.0, 600.0)).var() / sample.mean() for r in range(30)
    ]
    assert np.median(fano) > 5


@pytest.mark.parametrize(
    "law",
    [Poisson(7.0), GammaModulatedPoisson(7.0, CHAT.modulations)],
    ids=["poisson", "modulated"],
)
def test_blocks_are_seamless_and_ordered(law):
    blocks = list(itertools.islice(law.times(Streams(6)), 8))
    assert {block.size for block in blocks} == {BLOCK_REQUESTS}
    times_s = np.concatenate(blocks)
    assert times_s[0] > 0
    assert (np.diff(times_s) >= 0).all()
    again = first(law, Streams(6), 3)
    assert np.array_equal(again, times_s[: again.size])


def test_poisson_gaps_across_blocks_are_the_drawn_gaps():
    times_s = first(Poisson(7.0), Streams(7), 4)
    drawn = [Streams(7).block("arrivals", b).standard_exponential(BLOCK_REQUESTS) for b in range(4)]
    gaps_s = np.diff(times_s, prepend=0.0)
    assert gaps_s == pytest.approx(np.concatenate(drawn) / 7.0, rel=1e-9)


@pytest.mark.parametrize("preset", [CHAT, CODE], ids=["chat", "code"])
def test_modulated_arrivals_are_a_rescaled_unit_poisson_process(preset):
    """However blocks and windows are walked: the rate path, integrated up to each arrival."""
    rate, streams = 3.0, Streams(8)
    times_s = first(GammaModulatedPoisson(rate, preset.modulations), streams, 6)
    variance = sum(m.variance for m in preset.modulations)
    reached = []
    for window in rate_windows(preset.modulations, 0.0, variance, streams):
        end_s = window.start_s[-1] + window.length_s[-1]
        inside = times_s[(times_s >= window.start_s[0]) & (times_s < end_s)]
        at = np.searchsorted(window.start_s, inside, "right") - 1
        age_s, tau = inside - window.start_s[at], window.time_constant_s
        area = (window.level[:, at] * tau * -np.expm1(-age_s / tau)).sum(axis=0)
        reached.append(window.integral_s[at] + area)
        if end_s > times_s[-1]:
            break
    drawn = [streams.block("arrivals", b).standard_exponential(BLOCK_REQUESTS) for b in range(6)]
    clock = rate * np.concatenate(reached)
    assert clock == pytest.approx(np.cumsum(np.concatenate(drawn)), rel=1e-9)


def test_a_faster_rate_moves_through_the_same_ups_and_downs():
    slow = counts(GammaModulatedPoisson(50.0, CODE.modulations), Streams(9), 5.0, 1000.0)
    fast = counts(GammaModulatedPoisson(500.0, CODE.modulations), Streams(9), 5.0, 1000.0)
    assert np.corrcoef(slow, fast)[0, 1] > 0.95


@pytest.mark.parametrize("rate", [1e-6, 1e-4, 0.05, 1.0, 1e6])
@pytest.mark.parametrize("preset", [CHAT, CODE], ids=["chat", "code"])
def test_extreme_rates_keep_their_mean(preset, rate):
    law = GammaModulatedPoisson(rate, preset.modulations)
    ends = [first(law, Streams(10, r), 1)[-1] for r in range(20)]
    span_s = BLOCK_REQUESTS / rate
    # Time to the n-th arrival: to first order its relative variance is that of counts.
    error = np.sqrt(law.count_cv2(span_s) / len(ends))
    if error < 0.2:
        assert abs(np.mean(ends) / span_s - 1) < 4 * error
    assert np.isfinite(ends).all()


def test_a_fluctuation_too_fast_to_matter_is_left_out():
    blip = GammaModulatedPoisson(0.1, (Modulation(0.01, 1.0),))
    assert np.array_equal(first(blip, Streams(11), 2), first(Poisson(0.1), Streams(11), 2))
    # Only the slow one is felt; what the fast one contributes to the mean stays.
    mixed = GammaModulatedPoisson(0.1, (Modulation(0.01, 1.0), Modulation(0.01, 500.0)))
    times_s = np.array([first(mixed, Streams(11, r), 2)[-1] for r in range(40)])
    expected = 2 * BLOCK_REQUESTS / 0.1
    error = np.sqrt(mixed.count_cv2(expected) / times_s.size)
    assert abs(times_s.mean() / expected - 1) < 4 * error


def test_no_variance_is_poisson():
    still = GammaModulatedPoisson(2.0, (Modulation(0.0, 5.0),))
    assert np.array_equal(first(still, Streams(12), 1), first(Poisson(2.0), Streams(12), 1))


def test_laws_come_from_the_registry_and_say_what_they_assume():
    parameters = ArrivalParameters(2.0, CHAT.modulations)
    assert {"poisson", "gamma_modulated"} <= set(ARRIVALS)
    assert ARRIVALS.get("poisson")(parameters) == Poisson(2.0)
    modulated = ARRIVALS.get("gamma_modulated")(parameters)
    assert "0.05 (over 600 s)" in modulated.assumption
    assert "constant 2 requests/s" in Poisson(2.0).assumption


def test_modulated_arrivals_need_a_modulation():
    with pytest.raises(ConfigError, match=r"workload\.arrivals=poisson"):
        ARRIVALS.get("gamma_modulated")(ArrivalParameters(2.0))
    with pytest.raises(ConfigError, match="Did you mean 'poisson'"):
        ARRIVALS.get("poison")
