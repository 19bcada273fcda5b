"""The fit gives known parameters back, and its 95 % intervals hold them 95 times in 100."""

from functools import cache

import numpy as np
import pytest
from helpers.calibration import TRUTH, grid, synthetic
from scipy.stats import binomtest

from simulator.speculation.performance import NAMES, TIME_NAMES, predict
from simulator.study.calibration.bounds import open_bounds
from simulator.study.calibration.fit import fit
from simulator.study.calibration.measurements import QUANTITIES
from simulator.study.calibration.solve import Noise

NOISE = 0.005
PLANS = {"speedups": ("speedup",), "both": ("speedup", "ar_step_s"), "all": QUANTITIES}
LEVEL = 0.01 / len(NAMES)
"""Each plan judges ten intervals at once: Bonferroni keeps the whole test at 1 %."""


def truth(name, found):
    """A parameter as the fit tells it: in seconds, or in plain steps."""
    value = TRUTH[NAMES.index(name)]
    if found.scale_free and name in TIME_NAMES:
        return value / float(predict(TRUTH, found.plain_step).ar_step_s[0])
    return value


@cache
def held(plan, seeds):
    """How many of the intervals hold the truth, by parameter."""
    counts = dict.fromkeys(NAMES, 0)
    for seed in range(seeds):
        measured = synthetic(grid(), PLANS[plan], noise=NOISE, seed=seed)
        found = fit(measured, open_bounds(), Noise(NOISE, NOISE), starts=1)
        for name, estimate in found.estimates.items():
            assert estimate.determined
            assert not estimate.bound
            counts[name] += estimate.low <= truth(name, found) <= estimate.high
    return counts


def assert_covered(plan, seeds):
    for name, count in held(plan, seeds).items():
        assert binomtest(int(count), seeds, 0.95).pvalue > LEVEL, (plan, name, count)


def test_intervals_hold_the_truth_in_forty_seeds():
    assert_covered("speedups", 40)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_intervals_hold_the_truth_in_two_hundred_seeds(plan):
    assert_covered(plan, 200)


@pytest.mark.slow
def test_intervals_are_no_wider_than_need_be():
    """Pooled over plans and parameters: neither too narrow nor, which hides errors, too wide."""
    counts = sum(sum(held(plan, 200).values()) for plan in PLANS)
    assert counts / (200 * len(NAMES) * len(PLANS)) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("plan", PLANS)
def test_exact_data_give_the_parameters_back(plan):
    found = fit(synthetic(grid(), PLANS[plan]), open_bounds(), starts=3)
    for name, estimate in found.estimates.items():
        assert estimate.value == pytest.approx(truth(name, found), rel=1e-3), name


def test_the_same_seed_gives_the_same_fit():
    measured = synthetic(grid(), noise=0.02, seed=1)
    one, two = (fit(measured, open_bounds(), starts=2, seed=5) for _ in range(2))
    assert np.array_equal(one.solution.theta, two.solution.theta)
