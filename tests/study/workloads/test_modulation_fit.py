"""Fluctuations fitted to counts: what was put in comes out, and nothing comes of nothing."""

import numpy as np
import pytest

from simulator.streams import Streams
from simulator.study.workloads import modulation
from simulator.study.workloads.counts import Arrivals, counted
from simulator.study.workloads.modulation import (
    arrival_law,
    fit_modulations,
    fitted_to,
    mean_cv,
    recording,
)
from simulator.workload.arrivals import GammaModulatedPoisson, Poisson
from simulator.workload.modulation import Modulation


def test_least_squares_invert_the_closed_form():
    """Goals that are exactly those of one grid time are met by it alone."""
    rate, span_s, one = 5.0, 4000.0, Modulation(0.4, 8.0)
    windows_s = (0.5, 1, 2, 5, 10, 20, 60, 120)
    less = 1 / (rate * span_s) + one.excess_count_cv2(span_s)
    goal = {w: 1 / (rate * w) + one.excess_count_cv2(w) - less for w in windows_s}
    (found,) = modulation._solve(goal, rate, span_s)
    assert (found.variance, found.time_constant_s) == pytest.approx((0.4, 8.0), rel=1e-6)


def test_a_fit_draws_counts_that_scatter_as_recorded(monkeypatch):
    monkeypatch.setattr(modulation, "MOST_RECORDINGS", 20)
    law = GammaModulatedPoisson(3.0, (Modulation(2.0, 4.0),))
    arrivals = counted(recording(law, 640.0, Streams(11)))
    observed = fitted_to(arrivals)
    assert set(observed) == {0.5, 1, 2, 5, 10, 20, 30, 60}
    found = fit_modulations(arrivals, seed=1)
    drawn = mean_cv(arrival_law(arrivals.rate, found), 640.0, tuple(observed), 99, 40)
    for window_s, cv2 in observed.items():
        assert drawn[window_s] == pytest.approx(np.sqrt(cv2), rel=0.12)


def test_steady_arrivals_hardly_fluctuate():
    """What chance alone makes counts scatter is reproduced, but is small."""
    arrivals = counted(recording(Poisson(4.0), 300.0, Streams(2)))
    assert sum(one.variance for one in fit_modulations(arrivals, seed=1)) < 0.05


def test_regular_arrivals_are_taken_as_poisson():
    arrivals = counted([np.arange(500) * 1.37])
    assert fit_modulations(arrivals, seed=1) == ()
    assert arrival_law(arrivals.rate, ()) == Poisson(arrivals.rate)


def test_nothing_is_fitted_to_too_little():
    assert fit_modulations(Arrivals(), seed=1) == ()
    assert fit_modulations(counted([np.array([0.0, 1.0, 2.0])]), seed=1) == ()


def test_a_burst_that_recordings_may_lack_is_no_obstacle(monkeypatch):
    """Of a process that is silent nearly always some recordings have too few windows to tell."""
    monkeypatch.setattr(modulation, "MOST_RECORDINGS", 8)
    bursts = np.sort(np.concatenate([np.arange(60) * 0.01, 95.0 + np.arange(60) * 0.01]))
    found = fit_modulations(counted([bursts]), seed=1)
    assert sum(one.variance for one in found) > 5
