"""What sessions come to: figures that do not depend on how long the run was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.tenants import alone

from simulator.serving.tenants.clients import BUDGET, HIT, HORIZON, QUOTA, SessionRow
from simulator.serving.tenants.config import AttackConfig, LimitsConfig, TenantsConfig
from simulator.study.defence.measure import attack_figures, measure
from simulator.study.defence.question import BARE, Case, Question

TENANTS = TenantsConfig(attackers=2, gap_s=10.0, horizon_s=100.0)


def session(outcome: str, queries: int, wall_s: float, first_hit: int = 0) -> SessionRow:
    return SessionRow(0, 0, 0, 0.0, wall_s, outcome, queries, 0, first_hit, 0.1, 1.0, np.zeros(2))


def test_shares_are_of_sessions_and_successes_of_attackers_and_time() -> None:
    rows = [
        session(HIT, 100, 10.0, first_hit=60),
        session(BUDGET, 300, 30.0, first_hit=90),
        session(HIT, 200, 20.0, first_hit=200),
        session(BUDGET, 300, 30.0),
    ]
    found = attack_figures(rows, [True, False, True, False], TENANTS)
    assert found["queries_per_session"] == 225.0
    assert (found["first_hit"], found["believed"], found["majority"]) == (0.75, 0.5, 0.5)
    # 22.5 s and 10 s of pause: 2 attackers succeed every other time.
    assert found["successes_per_h"] == pytest.approx(2 * 0.5 / 32.5 * 3600)
    assert found["unfinished"] == 0.0


def test_what_the_run_cuts_off_is_no_failure_and_what_a_quota_ends_is() -> None:
    rows = [session(HIT, 100, 10.0, 100), session(HORIZON, 40, 4.0), session(BUDGET, 300, 30.0)]
    assert attack_figures(rows, [True, False, False], TENANTS)["majority"] == pytest.approx(0.5)
    rows[1] = session(QUOTA, 40, 4.0)
    limited = TenantsConfig(
        attackers=2, gap_s=10.0, horizon_s=100.0, limits=LimitsConfig(quota=440)
    )
    found = attack_figures(rows, [True, False, False], limited)
    assert found["majority"] == pytest.approx(1 / 3)
    assert found["successes_per_h"] == pytest.approx(36.0)  # one in 100 s


def test_without_sessions_there_are_no_shares() -> None:
    found = attack_figures([], [], TENANTS)
    assert found["sessions"] == 0.0
    assert {found[name] for name in ("majority", "unfinished", "successes_per_h")} == {None}


def test_a_limit_changes_how_long_sessions_take_and_not_how_they_end() -> None:
    attack = AttackConfig(radius=0.05, samples=5, budget=200, mu=0.01)

    def figures(horizon_s: float, rate: float) -> dict[str, float | None]:
        limits = LimitsConfig(rate_per_s=rate)
        config = TenantsConfig(
            attackers=25,
            gap_s=3.0,
            horizon_s=horizon_s,
            benign_rate_per_s=1.0,
            attack=attack,
            limits=limits,
        )
        rows = alone(config).sessions
        return attack_figures(rows, [row.outcome == HIT for row in rows], config)

    free, short, long = (
        figures(*given) for given in ((40.0, math.inf), (40.0, 10.0), (80.0, 10.0))
    )
    for name, error in (("majority", 0.15), ("queries_per_session", 25.0)):
        assert short[name] == pytest.approx(long[name], abs=error)
        assert short[name] == pytest.approx(free[name], abs=error)
    assert short["unfinished"] > 1.5 * long["unfinished"]
    assert short["successes_per_h"] == pytest.approx(long["successes_per_h"], rel=0.2)
    assert short["successes_per_h"] < 0.5 * free["successes_per_h"]


@pytest.mark.slow
def test_attacks_on_all_models_are_on_the_same_pictures() -> None:
    question = Question(
        tenants=TenantsConfig(horizon_s=20.0, attackers=10, gap_s=2.0),
        defences=("rnd", "rnd_gf", "rnd_at"),
        nus=(0.1,),
        rate_limits_per_s=(math.inf,),
        objective_s=0.1,
        beside=(),
        seed=0,
        replications=1,
    )
    bare, tuned, trained = (
        {(row.tenant, row.session): row.picture for row in measure((question, case, 0)).sessions}
        for case in (BARE, Case("rnd_gf", 0.1, math.inf), Case("rnd_at", 0.1, math.inf))
    )
    for other in (tuned, trained):
        both = bare.keys() & other.keys()
        assert len(both) > 20
        assert np.mean([bare[key] == other[key] for key in both]) > 0.9
