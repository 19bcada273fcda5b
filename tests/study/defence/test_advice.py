"""One sentence: the least success at the price allowed, of equals the least load."""

from __future__ import annotations

import math

from simulator.serving.tenants.config import TenantsConfig
from simulator.study.defence.advice import advice
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import Outcome
from simulator.study.defence.question import BARE, PEACE, Case, Question

QUESTION = Question(
    tenants=TenantsConfig(),
    defences=("rnd",),
    nus=(0.1,),
    rate_limits_per_s=(2.0,),
    objective_s=0.1,
    beside=(),
    seed=0,
    replications=1,
)


def measured(
    case: Case, *, majority: float, load: float, goodput: float = 20.0, accuracy: float = 0.97
) -> Measured:
    figures: dict[str, float | None] = {
        "majority": majority,
        "attack_gpu_s_per_h": load,
        "benign_goodput_per_s": goodput,
        "benign_p95_s": 0.02,
    }
    return Measured(case, accuracy, [Outcome([], [], figures)])


def frontier(*more: Measured) -> Frontier:
    peace = measured(PEACE, majority=math.nan, load=0.0)
    return Frontier(QUESTION, [peace, measured(BARE, majority=0.8, load=500.0), *more], [])


NOISE, LIMIT = Case("rnd", 0.1, math.inf), Case("none", 0.0, 2.0)


def test_the_least_success_wins_and_of_equals_the_least_load() -> None:
    noise, limit = (
        measured(case, majority=0.1, load=load) for case, load in ((NOISE, 900.0), (LIMIT, 200.0))
    )
    assert advice(frontier(noise), 0.01).startswith(
        "Take rnd nu=0.1 without a limit: attacks that succeed by majority go from 80 % to 10 % of "
        "sessions and their load from 500 to 900 GPU-seconds an hour"
    )
    assert advice(frontier(noise, limit), 0.01).startswith("Take no noise with 2 queries/s")


def test_no_more_accuracy_is_given_up_than_allowed() -> None:
    noise = measured(NOISE, majority=0.1, load=900.0, accuracy=0.95)
    assert advice(frontier(noise), 0.03).startswith("Take rnd")
    assert advice(frontier(noise), 0.01).startswith("Leave it as it is")


def test_where_users_suffer_in_every_case_that_is_what_is_said() -> None:
    bare = measured(BARE, majority=0.8, load=500.0, goodput=15.0)
    found = Frontier(QUESTION, [measured(PEACE, majority=math.nan, load=0.0), bare], [])
    assert advice(found, 0.01).startswith("No case keeps clean accuracy within 1.0 points and 99 %")
