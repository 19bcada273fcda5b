"""Replications are added until the attainment is clear, and no longer."""

import pytest
from helpers.planning import FormulaBench, drive, outcome, seen

from simulator.slo import SloConfig
from simulator.study.plan.decide import assess, attainment_interval, wilson
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Effort

PLAIN = Deployment(model="m", gpu="h100_sxm")


def assessed(shares, *, required=0.99, most=5, least=1):
    """Assess with these shares, one tuple a replication."""
    names = [f"class {index}" for index in range(len(shares[0]))]
    bench = FormulaBench(
        objectives={name: SloConfig(tpot_s=0.1, share=required) for name in names},
        effort=Effort(replications=most),
    )
    search = assess(bench, PLAIN, 10.0, least=least)
    return drive(search, lambda asked: outcome(*shares[asked.replication % len(shares)]))


@pytest.mark.parametrize(
    ("shares", "replications", "holds"),
    [
        ([(0.2,)], 1, False),  # a clear miss
        ([(1.0,)], 2, True),  # one alone has no interval
        ([(0.999, 1.0), (1.0, 0.2)], 2, False),  # a class of the second
        ([(0.97,), (0.999,)], 5, False),  # never clear: the estimates decide
        ([(0.985,), (0.999,)], 5, True),
    ],
)
def test_as_many_replications_as_it_takes(shares, replications, holds):
    found = assessed(shares)
    assert (len(found.outcomes), found.holds) == (replications, holds)


def test_more_are_run_where_an_interval_is_wanted():
    assert len(assessed([(1.0,)], least=3).outcomes) == 3


def test_no_more_than_the_cap():
    assert len(assessed([(0.97,), (0.999,)], most=2, least=3).outcomes) == 2


def test_few_requests_tell_little_even_where_all_agree():
    few = attainment_interval([seen(1.0, requests=50)] * 2)
    many = attainment_interval([seen(1.0, requests=5000)] * 2)
    assert few.low < 0.99 < many.low
    assert few.value == many.value == 1.0


def test_replications_that_differ_widen_the_interval():
    found = attainment_interval([seen(0.98), seen(1.0)])
    assert found.low < wilson(3960, 4000)[0]


def test_wilson_gives_published_values():
    """Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
