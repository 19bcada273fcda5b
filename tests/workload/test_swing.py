"""Loads that swing: the shape, the counts, and what does not change."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.arrivals import Poisson
from simulator.workload.build import build_workload
from simulator.workload.config import SwingConfig, WorkloadConfig
from simulator.workload.swing import STEPS, Swinging


def swinging(rate=5.0, period_s=600.0, peak_to_mean=1.71):
    return Swinging(Poisson(rate), SwingConfig(period_s=period_s, peak_to_mean=peak_to_mean))


def first(law, blocks, seed=1):
    return np.concatenate(list(itertools.islice(law.times(Streams(seed)), blocks)))


@pytest.mark.parametrize(
    ("peak", "trough", "measured"), [(1.71, 0.48, 0.45), (3.17, 0.07, 0.09)], ids=["chat", "code"]
)
def test_the_trough_follows_from_the_peak_as_in_the_traces_of_azure(peak, trough, measured):
    found = swinging(peak_to_mean=peak).trough_to_mean
    assert found == pytest.approx(trough, abs=0.005)
    assert found == pytest.approx(measured, abs=0.035)


@settings(max_examples=30)
@given(st.floats(1.01, 20.0))
def test_peak_and_trough_are_those_of_the_shape(peak):
    law = swinging(peak_to_mean=peak)
    rates = law.cycle.rates
    assert rates.mean() == pytest.approx(1.0)
    assert rates.max() == pytest.approx(peak, rel=1e-3)
    assert rates.min() == pytest.approx(law.trough_to_mean, rel=1e-3)
    assert np.argmax(rates) in (STEPS // 2 - 1, STEPS // 2)
    assert rates == pytest.approx(rates[::-1])  # the evening mirrors the morning


def test_counts_by_the_hour_follow_the_rate():
    """Chi-squared over 24 hours of 40 periods: false alarm one in a thousand, seed fixed."""
    law = swinging(peak_to_mean=2.5)
    times_s = first(law, 130)
    assert times_s[-1] > 40 * 600
    hours = np.floor(times_s[times_s < 40 * 600] % 600 / 25).astype(int)
    counts = np.bincount(hours, minlength=24)
    expected = 40 * 600 * 5.0 * law.cycle.rates.reshape(24, -1).mean(axis=1) / 24
    assert np.sum((counts - expected) ** 2 / expected) < chi2.ppf(0.999, 24)


def test_a_period_has_as_many_arrivals_as_without_a_swing():
    """Time is warped, period by period: nothing else of the law changes."""
    steady, warped = first(Poisson(5.0), 10), first(swinging(), 10)
    assert (np.diff(warped) >= 0).all()
    assert (warped // 600 == steady // 600).all()
    assert np.abs(warped - steady).max() > 30


def test_a_preset_swings_and_says_so():
    swing = SwingConfig(period_s=3600.0, peak_to_mean=1.9)
    workload = build_workload(WorkloadConfig(preset="reasoning", rate=0.4, swing=swing), 5000)
    assert "Poisson at a mean of 0.4 requests/s" in workload.assumptions[0]
    assert "period of 3600 s between 0.39 and 1.9 times" in workload.assumptions[0]
    assert len(set(workload.assumptions)) == len(workload.assumptions)
    times_s = np.concatenate([block.arrival_s for block in workload.blocks(Streams(3))])
    night = ((times_s % 3600) < 600).sum()
    peak = (abs(times_s % 3600 - 1800) < 300).sum()
    assert peak > 3 * night


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peak_to_mean": 1.0}, r"peak_to_mean is 1.0; set it above 1.*workload.swing=null"),
        ({"peak_to_mean": float("nan")}, "peak_to_mean is nan"),
        ({"period_s": 0.0}, "workload.swing.period_s is 0.0"),
    ],
)
def test_swings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SwingConfig(**settings)


@pytest.mark.parametrize(
    "kind",
    [
        {"kind": "closed_loop", "concurrency": 4, "prompt_tokens": 9, "output_tokens": 9},
        {"kind": "trace", "path": "x.csv"},
    ],
)
def test_only_an_open_loop_of_a_preset_swings(kind):
    with pytest.raises(ConfigError, match=r"workload.swing is .* means nothing"):
        WorkloadConfig(swing=SwingConfig(), **kind)
