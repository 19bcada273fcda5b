"""Runs are long enough to fill, and to see enough requests of every class."""

import numpy as np
import pytest

from simulator.slo import SloConfig
from simulator.study.plan.horizon import choose_horizon, filling_time_s
from simulator.study.plan.traffic import Traffic

LOOSE = SloConfig(tpot_s=0.1, share=0.9)


def traffic(outputs, classes=None):
    outputs = np.asarray(outputs)
    classes = np.zeros_like(outputs) if classes is None else np.asarray(classes)
    return Traffic(np.full_like(outputs, 100), outputs, classes)


def test_exponential_stays_fill_as_theory_has_it():
    """Of exponential stays with mean 1, a share 1 - exp(-t) of the load is there at t."""
    stays_s = np.random.default_rng(1).exponential(size=200_000)
    assert filling_time_s(stays_s) == pytest.approx(np.log(10.0), rel=0.02)


def test_a_run_fills_for_as_long_as_the_objective_lets_requests_stay():
    short, long = (
        choose_horizon(traffic([n] * 50), [LOOSE], 100.0, token_s=1.0) for n in (101, 1001)
    )
    for horizon, stay_s in ((short, 10.0), (long, 100.0)):
        assert horizon.warmup_fraction * horizon.span_s == pytest.approx(0.9 * stay_s)
    assert long.span_s > short.span_s


def test_a_faster_deployment_fills_sooner():
    slow, fast = (
        choose_horizon(traffic([1001] * 50), [LOOSE], 100.0, token_s=token_s)
        for token_s in (0.1, 0.02)
    )
    assert slow.span_s == pytest.approx(5 * fast.span_s)


def test_rare_classes_are_seen_often_enough():
    """A tenth of the requests, of which a hundredth may miss: ten misses are ten thousand."""
    strict = SloConfig(tpot_s=0.1, share=0.99)
    horizon = choose_horizon(traffic([11] * 10, [0] * 9 + [1]), [LOOSE, strict], 20.0, token_s=1.0)
    measured_s = horizon.span_s * (1.0 - horizon.warmup_fraction)
    assert measured_s * 20.0 == pytest.approx(10_000)


def test_the_number_of_requests_may_be_given():
    horizon = choose_horizon(traffic([101] * 10), [LOOSE], 20.0, token_s=1.0, requests=1000)
    assert horizon.requests(20.0) == 1000
    assert horizon.requests(10.0) == 500
    assert horizon.warmup_fraction == pytest.approx(9.0 / 50.0)


def test_context_is_what_is_cached_on_average():
    """Two requests that stay for 9 and for 99 tokens weigh as long as they stay."""
    both = traffic([10, 100])
    assert both.context_tokens == pytest.approx((9 * 105 + 99 * 150) / 108)
