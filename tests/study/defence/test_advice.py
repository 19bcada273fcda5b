"""What to do: the fewest successes in an hour at the price allowed, by more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from simulator.serving.tenants.config import TenantsConfig
from simulator.study.defence.advice import advice, named
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import Outcome
from simulator.study.defence.question import BARE, PEACE, Case, Question
from simulator.study.defence.variants import ASKED, Tried

QUESTION = Question(
    tenants=TenantsConfig(),
    defences=("rnd",),
    nus=(0.1,),
    rate_limits_per_s=(2.0,),
    objective_s=0.1,
    beside=(),
    seed=0,
    replications=3,
)


def measured(
    case: Case,
    *,
    won: float | Sequence[float],
    load: float,
    goodput: float = 20.0,
    accuracy: float = 0.97,
    sessions: float = 50.0,
) -> Measured:
    each = won if isinstance(won, Sequence) else [won - 1.0, won, won + 1.0]
    figures: dict[str, float | None] = {
        "sessions": sessions,
        "majority": 0.5,
        "attack_gpu_s_per_h": load,
        "benign_goodput_per_s": goodput,
        "benign_p95_s": 0.02,
    }
    outcomes = [Outcome([], [], [], figures | {"successes_per_h": value}) for value in each]
    return Measured(case, accuracy, 0.0, outcomes)


PEACEFUL = measured(PEACE, won=math.nan, load=0.0)
NOISE, LIMIT = Case("rnd", 0.1, math.inf), Case("none", 0.0, 2.0)
BOTH = Case("rnd", 0.1, 2.0)


FEW_ENDED = {"sessions": 50.0, "successes_per_h": None, "benign_goodput_per_s": 20.0}


def frontier(*more: Measured, tried: Sequence[Tried] = ()) -> Frontier:
    bare = measured(BARE, won=800.0, load=500.0)
    return Frontier(QUESTION, [PEACEFUL, bare, *more], [], tried)


def test_the_fewest_successes_win_and_of_equals_the_least_load() -> None:
    noise, limit = (
        measured(case, won=100.0, load=load) for case, load in ((NOISE, 900.0), (LIMIT, 200.0))
    )
    assert advice(frontier(noise), 0.01).startswith(
        "Take rnd nu=0.1 without a limit: attacks that succeed go from 800 to 100 an hour (50 and "
        "50 % of sessions), their load from 500 to 900 GPU-seconds an hour"
    )
    assert advice(frontier(noise, limit), 0.01).startswith("Take no noise with 2 queries/s")


def test_what_chance_explains_is_no_gain() -> None:
    around = measured(LIMIT, won=[500.0, 750.0, 1000.0], load=100.0)  # 750 against 800
    assert advice(frontier(around), 0.01).startswith("Leave it as it is: no noise or limit lowers")
    # Nor is a case the best by chance: the other's load is smaller.
    first, second = (
        measured(case, won=won, load=load)
        for case, won, load in (
            (NOISE, [90.0, 100.0, 105.0], 900.0),
            (LIMIT, [95.0, 97.0, 110.0], 200.0),
        )
    )
    assert advice(frontier(first, second), 0.01).startswith("Take no noise with 2 queries/s")


def test_no_more_accuracy_is_given_up_than_allowed() -> None:
    noise = measured(NOISE, won=100.0, load=900.0, accuracy=0.95)
    assert advice(frontier(noise), 0.03).startswith("Take rnd")
    assert advice(frontier(noise), 0.01).startswith("Leave it as it is")


def test_where_a_limit_is_best_it_is_said_why_noise_is_not_added() -> None:
    limit = measured(LIMIT, won=100.0, load=200.0)
    dear = measured(BOTH, won=50.0, load=200.0, accuracy=0.9)
    alike = measured(BOTH, won=[90.0, 100.0, 112.0], load=250.0)
    assert advice(frontier(limit, dear), 0.01).endswith(
        "Noise on top would cost more than 1.0 points of accuracy, or goodput of ordinary users."
    )
    assert advice(frontier(limit, alike), 0.01).endswith("by no more than chance explains.")


def test_how_attackers_get_around_a_noise_is_part_of_the_advice() -> None:
    tried = [
        Tried(name, "rnd", 0.1, 100, 90, 40, count, 900.0)
        for name, count in ((ASKED, 15), ("mu=0.1", 68), ("stop=first_hit", 5))
    ]
    noise = measured(NOISE, won=100.0, load=900.0)
    assert advice(frontier(noise, tried=tried), 0.01).endswith(
        "But an attacker who takes mu=0.1 succeeds in 68 % of sessions behind that noise, not in "
        "15 %."
    )


def test_where_users_suffer_in_every_case_that_is_what_is_said() -> None:
    bare = measured(BARE, won=800.0, load=500.0, goodput=15.0)
    found = Frontier(QUESTION, [PEACEFUL, bare], [], [])
    assert advice(found, 0.01).startswith("No case keeps clean accuracy within 1.0 points and 99 %")


def test_without_a_figure_for_bare_attacks_there_is_nothing_to_compare_with() -> None:
    bare = replace(
        measured(BARE, won=0.0, load=500.0),
        outcomes=[Outcome([], [], [], FEW_ENDED)] * 3,
    )
    found = Frontier(QUESTION, [PEACEFUL, bare, measured(NOISE, won=100.0, load=900.0)], [], [])
    assert advice(found, 0.01) == (
        "Too few sessions end within horizon_s=600 to judge no noise without a limit: raise it."
    )


def test_without_ordinary_queries_nothing_is_said_of_their_latency() -> None:
    noise = measured(NOISE, won=100.0, load=900.0)
    silent = [Outcome([], [], [], {**one.figures, "benign_p95_s": None}) for one in noise.outcomes]
    sentence = advice(frontier(replace(noise, outcomes=silent)), 0.01)
    assert "GPU-seconds an hour, and clean accuracy" in sentence


def test_a_study_without_attacks_gives_no_advice() -> None:
    bare = measured(BARE, won=0.0, load=0.0, sessions=0.0)
    found = Frontier(QUESTION, [PEACEFUL, bare], [], [])
    assert advice(found, 0.01) == "No attack began: raise horizon_s, or lower gap_s."


def test_a_case_is_called_by_its_noise_and_its_limits() -> None:
    assert named(BOTH) == "rnd nu=0.1 with 2 queries/s per tenant"
    both = Case("none", 0.0, 2.0, 300)
    assert named(both) == "no noise with 2 queries/s and 300 queries in all per tenant"
