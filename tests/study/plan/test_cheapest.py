"""Branch and bound finds what brute force finds, and asks for far less."""

import math

import pytest
from helpers.planning import FormulaBench, by_capacity, drive
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.plan.cheapest import Design, cheapest
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.screening import Screening


def design(number, gpus, bound, likely):
    deployment = Deployment(model="m", gpu="h100_sxm", tensor_parallel=gpus, gamma=number)
    return Design(deployment, Screening(bound_rate=bound, likely_rate=likely))


def brute_force(capacities, rate, max_gpus):
    """The fewest GPUs over all designs and replicas; None if none does."""
    needed = [
        math.ceil(rate / capacity - 1e-9) * design.deployment.unit_gpus
        for design, capacity in capacities.items()
    ]
    return min((gpus for gpus in needed if gpus <= max_gpus), default=None)


@st.composite
def spaces(draw):
    """Designs with a true capacity, a bound above it and a guess anywhere near."""
    found = {}
    for number in range(draw(st.integers(1, 6))):
        capacity = draw(st.floats(0.3, 12.0))
        bound = capacity * draw(st.floats(1.0, 2.0))
        likely = min(bound, capacity * draw(st.floats(0.7, 1.3)))
        found[design(number, draw(st.sampled_from([1, 2, 4, 8])), bound, likely)] = capacity
    return found


@settings(max_examples=40)
@given(space=spaces(), rate=st.floats(0.5, 40.0), max_gpus=st.integers(8, 512))
def test_the_fewest_gpus_are_those_of_brute_force(space, rate, max_gpus):
    bench = FormulaBench(target_rate=rate)
    capacity = {one.deployment: capacity for one, capacity in space.items()}
    answer = by_capacity(lambda deployment: capacity[deployment.with_replicas(1)])
    hunt = drive(cheapest(bench, list(space), max_gpus), answer)
    found = hunt.best.deployment.gpus if hunt.best else None
    assert found == brute_force(space, rate, max_gpus)


def test_what_cannot_win_is_never_simulated():
    good, poor = design(0, 1, 6.0, 5.0), design(1, 1, 4.0, 3.9)
    bench = FormulaBench(target_rate=20.0)
    hunt = drive(cheapest(bench, [poor, good], 64), by_capacity(lambda _: 5.0))
    assert hunt.best.deployment.replicas == 4
    assert hunt.pruned == [poor]
    assert {asked.deployment.gamma for asked in bench.asked} == {0}


def test_a_challenger_that_fails_is_tried_with_one_number_of_replicas():
    best, bold = design(0, 1, 6.0, 5.0), design(1, 1, 20.0, 3.0)
    bench = FormulaBench(target_rate=20.0)
    capacity = {0: 5.0, 1: 2.0}
    hunt = drive(cheapest(bench, [best, bold], 64), by_capacity(lambda one: capacity[one.gamma]))
    assert hunt.design == best
    tried = {asked.deployment.replicas for asked in bench.asked if asked.deployment.gamma}
    assert tried == {3}  # the most that would be fewer GPUs than the four of the best


@pytest.mark.parametrize("likely", [0.5, 5.0, 40.0])
def test_where_the_guess_is_far_off_the_answer_is_the_same(likely):
    only = design(0, 2, 50.0, likely)
    hunt = drive(cheapest(FormulaBench(20.0), [only], 64), by_capacity(lambda _: 3.0))
    assert hunt.best is None if likely == 40.0 else hunt.best.deployment.replicas == 7


def test_nothing_holds():
    only = design(0, 1, 6.0, 5.0)
    hunt = drive(cheapest(FormulaBench(20.0), [only], 64), by_capacity(lambda _: 0.1))
    assert hunt.best is None
    assert [one.holds for one in hunt.failed] == [False] * len(hunt.failed)
    assert max(one.deployment.replicas for one in hunt.failed) == 16  # four times the likely ones


def test_what_serves_nothing_even_by_its_bound_is_pruned():
    hopeless = design(0, 1, 0.0, 0.0)
    hunt = drive(cheapest(FormulaBench(20.0), [hopeless], 64), by_capacity(lambda _: 0.0))
    assert (hunt.best, hunt.pruned, hunt.failed) == (None, [hopeless], [])
