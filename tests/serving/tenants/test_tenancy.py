"""Clients and servers together: closed loops, batches, limits, and what is counted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from helpers.tenants import alone, had

from simulator.serving.tenants.attacker import BUDGET, HIT, HORIZON, QUOTA
from simulator.serving.tenants.config import (
    AttackConfig,
    EndpointConfig,
    LimitsConfig,
    TenantsConfig,
)
from simulator.serving.tenants.tenancy import Tenancy

# A ball too small to succeed in: every session runs to its budget.
HOPELESS = AttackConfig(kind="nes", radius=1e-6, mu=0.01, samples=5, budget=110)


def config(**settings: object) -> TenantsConfig:
    given = {
        "horizon_s": 20.0,
        "attackers": 1,
        "gap_s": 1.0,
        "benign_rate_per_s": 1e-6,
        "attack": HOPELESS,
        "endpoint": EndpointConfig(batch_s=0.01, query_s=0.001, max_batch=4),
        **settings,
    }
    return TenantsConfig(**given)


def test_a_step_is_asked_together_and_the_next_waits_for_its_last_answer() -> None:
    # 11 queries a step in batches of 4, 4 and 3: 41 ms. Ten steps fill the budget of 110.
    found = alone(config(think_s=0.1))
    whole = [row for row in found.sessions if row.outcome == BUDGET]
    assert len(whole) > 5
    for row in whole:
        assert row.queries == 110
        assert row.ended_s - row.started_s == pytest.approx(10 * 0.041 + 9 * 0.1)
        assert row.gpu_s == pytest.approx(10 * 0.041)
    for before, after in pairwise(found.sessions):
        assert before.ended_s < after.started_s


def test_batches_and_seconds_of_the_gpu_add_up() -> None:
    found = alone(config(attackers=3, benign_rate_per_s=20.0))
    (server,) = found.servers
    queries = found.gateway.admitted.total()
    assert sum(server.gpu_s.values()) == pytest.approx(0.01 * server.batches + 0.001 * queries)
    assert server.outstanding == 0
    assert had(found, attacks=False).queries == len(found.users.latency_s)
    assert min(found.users.latency_s) >= 0.011 - 1e-9
    assert found.users.right == len(found.users.latency_s)  # labels are the model's own
    gpu_s = sum(row.gpu_s for row in found.sessions)
    assert gpu_s == pytest.approx(had(found, attacks=True).gpu_s)


def test_attackers_slow_ordinary_users_and_more_servers_help() -> None:
    def p95(found: Tenancy) -> float:
        return float(np.quantile(found.users.latency_s, 0.95))

    costs = EndpointConfig(batch_s=0.01, query_s=0.001, max_batch=4)
    peace, attacked, spread = (
        p95(alone(config(attackers=attackers, benign_rate_per_s=20.0, endpoint=endpoint)))
        for attackers, endpoint in (
            (0, costs),
            (4, costs),
            (4, EndpointConfig(servers=4, batch_s=0.01, query_s=0.001, max_batch=4)),
        )
    )
    assert peace < spread < attacked


def test_a_limit_holds_an_attacker_back_and_what_is_refused_is_sent_again() -> None:
    found = alone(config(limits=LimitsConfig(rate_per_s=20.0, burst=5)))
    attacker = had(found, attacks=True)
    assert 300 < attacker.queries <= 20.0 * 20.0 + 5
    assert sum(row.refused for row in found.sessions) == attacker.refused > 0
    # Cut off in the middle of a step, it still pays for what it has sent.
    assert sum(row.gpu_s for row in found.sessions) == pytest.approx(attacker.gpu_s)
    first = found.sessions[0]
    assert first.queries == 110
    assert first.ended_s - first.started_s == pytest.approx((110 - 5) / 20.0, abs=0.3)


def test_a_quota_ends_a_tenant_and_the_horizon_everybody() -> None:
    found = alone(config(attackers=2, limits=LimitsConfig(quota=200)))
    assert [row.outcome for row in found.sessions].count(QUOTA) == 2
    assert [row.queries for row in found.tenants() if row.attacks] == [200, 200]
    late = alone(config(horizon_s=1.0, gap_s=0.2, think_s=0.3))
    assert late.sessions[-1].outcome == HORIZON
    assert all(row.ended_s < 1.5 for row in late.sessions)


def test_refused_users_do_not_come_again() -> None:
    found = alone(
        config(benign_rate_per_s=50.0, benign_tenants=1, limits=LimitsConfig(rate_per_s=10.0))
    )
    _, _, admitted, refused, _ = had(found, attacks=False)
    assert admitted == pytest.approx(10.0 * 20.0 + 10, abs=3)
    assert refused == pytest.approx(50.0 * 20.0 - admitted, rel=0.15)


def test_the_same_seed_gives_the_same_sessions_and_another_others() -> None:
    attack = AttackConfig(kind="zo_sign", samples=5, budget=60, radius=0.2)
    first, again, other = (
        alone(config(attack=attack, attackers=3, horizon_s=8.0), nu=0.1, seed=seed)
        for seed in (1, 1, 2)
    )
    assert rows(first) == rows(again)
    assert rows(first) != rows(other)


def test_what_a_session_draws_does_not_depend_on_noise_limits_or_other_tenants() -> None:
    plain = alone(config())
    changed = alone(
        config(attackers=3, limits=LimitsConfig(rate_per_s=30.0), benign_rate_per_s=10.0), nu=0.2
    )
    mine = [row.picture for row in changed.sessions if row.tenant == 0]
    assert mine == [row.picture for row in plain.sessions][: len(mine)]


def test_attacks_succeed_where_they_may_go_far_enough() -> None:
    attack = AttackConfig(kind="nes", radius=0.3, samples=5, budget=300)
    found = alone(config(attack=attack))
    assert {row.outcome for row in found.sessions} <= {HIT, BUDGET, HORIZON}
    hits = [row for row in found.sessions if row.outcome == HIT]
    assert hits
    assert all(0 < row.first_hit_queries <= row.queries for row in hits)
    assert all(row.distortion <= 0.3 + 1e-9 for row in hits)


def rows(found: Tenancy) -> list[tuple[object, ...]]:
    return [(*row[:-1], row.candidate.tobytes()) for row in found.sessions]
