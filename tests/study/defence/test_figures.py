"""What sessions come to: figures that do not depend on how long the run was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.tenants import alone

from simulator.serving.tenants.attacker import BUDGET, HIT, HORIZON, QUOTA, SessionRow
from simulator.serving.tenants.config import AttackConfig, LimitsConfig, TenantsConfig
from simulator.serving.tenants.tenancy import TenantRow
from simulator.study.defence.figures import (
    FIGURES,
    attack_figures,
    benign_figures,
    llm_figures,
    load_figures,
)

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
    assert found["majority"] == found["believed"] == pytest.approx(1 / 3)
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


HAD = [TenantRow(0, True, 300, 9, 6.0), TenantRow(1, True, 100, 0, 2.0)]
USERS = [TenantRow(2, False, 3, 1, 0.5), TenantRow(3, False, 1, 0, 0.5)]


def test_load_is_what_attackers_took_in_an_hour() -> None:
    assert load_figures([*HAD, *USERS], 100.0) == {
        "attack_queries_per_s": 4.0,
        "attack_gpu_s_per_h": pytest.approx(8.0 * 36.0),
    }


def test_users_are_counted_by_the_objective_and_what_limits_let_in() -> None:
    found = benign_figures([0.1, 0.2, 0.3, 0.4], 3, [*HAD, *USERS], horizon_s=2.0, objective_s=0.2)
    assert found == {
        "benign_p50_s": pytest.approx(0.25),
        "benign_p95_s": pytest.approx(0.385),
        "benign_p99_s": pytest.approx(0.397),
        "benign_goodput_per_s": 1.0,
        "benign_refused": 0.2,
        "benign_right": 0.75,
    }
    nobody = benign_figures([], 0, HAD, horizon_s=2.0, objective_s=0.2)
    assert nobody["benign_p50_s"] is nobody["benign_right"] is None
    assert nobody["benign_goodput_per_s"] == 0.0


def test_every_figure_that_is_documented_is_measured() -> None:
    times = {"ttft_s": np.array([1.0, np.nan, 3.0]), "tpot_s": np.array([np.nan, 0.1, 0.3])}
    llm = llm_figures(times)
    assert llm["llm_ttft_p50_s"] == 2.0
    assert llm["llm_tpot_p50_s"] == pytest.approx(0.2)
    benign = benign_figures([0.1], 1, USERS, horizon_s=2.0, objective_s=0.2)
    attacks = attack_figures([session(HIT, 1, 1.0)], [True], TENANTS) | load_figures(HAD, 1.0)
    assert set(llm | benign | attacks) == set(FIGURES)
