"""The highest rate, its interval, and the ratio of two."""

import pytest
from helpers.planning import FormulaBench, by_capacity, drive, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.plan.cheapest import Design
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.rates import highest_rate, rate_ratio
from simulator.study.plan.screening import Screening
from simulator.study.plan.spare import most_to_spare
from simulator.study.plan.twins import gain

PLAIN = Deployment(model="m", gpu="h100_sxm")


@settings(max_examples=25)
@given(capacity=st.floats(1.0, 60.0), first=st.floats(4.0, 20.0))
def test_bisection_ends_within_its_tolerance(capacity, first):
    bench = FormulaBench()
    limit = drive(highest_rate(bench, PLAIN, first), by_capacity(lambda _: capacity))
    assert limit.rate.value <= capacity <= limit.rate.value * 1.05 + 1e-9


def test_a_deployment_that_holds_no_rate():
    limit = drive(highest_rate(FormulaBench(), PLAIN, 10.0), by_capacity(lambda _: 0.0))
    assert limit.rate.value == 0.0
    assert not limit.held


def by_replication(capacities):
    """Answer with another capacity in each replication; attainment falls along a line."""

    def answer(asked):
        several = capacities[asked.deployment.gamma]
        capacity = several[asked.replication % len(several)]
        return outcome(min(1.0, 0.99 - 0.5 * (asked.rate / capacity - 1.0)))

    return answer


def test_each_replication_has_its_own_rate():
    answer = by_replication({0: [9.0, 10.0, 11.0], 3: [18.0, 20.0, 22.0]})
    plain = drive(highest_rate(FormulaBench(), PLAIN, 10.0), answer)
    assert plain.rates == pytest.approx((9.0, 10.0, 11.0), rel=0.05)
    assert plain.rate.low < 9.0
    assert plain.rate.high > 11.0


def test_the_ratio_is_paired():
    """Replications differ by a fifth, their ratios not at all."""
    speculative = Deployment(model="m", gpu="h100_sxm", gamma=3)
    answer = by_replication({0: [9.0, 10.0, 11.0], 3: [18.0, 20.0, 22.0]})
    fast = drive(highest_rate(FormulaBench(), speculative, 20.0), answer)
    slow = drive(highest_rate(FormulaBench(), PLAIN, 10.0), answer)
    ratio = rate_ratio(fast, slow)
    assert ratio.value == pytest.approx(2.0, rel=0.05)
    assert ratio.low < 2.0 < ratio.high
    assert ratio.high - ratio.low < 0.3 < fast.rate.high - fast.rate.low


def test_replications_that_agree_still_leave_the_tolerance_of_the_search():
    limit = drive(highest_rate(FormulaBench(), PLAIN, 9.0), by_capacity(lambda _: 10.0))
    assert len(set(limit.rates)) == 1
    assert limit.rate.low <= 10.0 < limit.rate.high
    ratio = rate_ratio(limit, limit)
    assert ratio.low < 1.0 < ratio.high


def test_a_gain_over_nothing_is_none():
    speculative = Deployment(model="m", gpu="h100_sxm", gamma=3)
    answer = by_capacity(lambda one: 20.0 if one.gamma else 0.0)
    limit = drive(highest_rate(FormulaBench(), speculative, 20.0), answer)
    found, twin = drive(gain(FormulaBench(), limit, 5.0), answer)
    assert found.max_rate is None
    assert twin.rate.value == 0.0


def test_of_equal_price_the_one_with_most_to_spare():
    capacities = {0: 6.0, 1: 8.0, 3: 7.0}
    designs = [
        Design(
            Deployment(model="m", gpu="h100_sxm", gamma=gamma),
            Screening(bound_rate=2 * capacity, likely_rate=capacity),
        )
        for gamma, capacity in capacities.items()
    ]
    answer = by_capacity(lambda one: capacities[one.gamma])
    first = drive(highest_rate(FormulaBench(), designs[0].with_replicas(2), 12.0), answer)
    best, limit = drive(most_to_spare(FormulaBench(), designs[0], first, designs), answer)
    assert best.deployment.gamma == 1
    assert limit.rate.value == pytest.approx(16.0, rel=0.05)
