"""The size that is promised: a hundred attackers, for an hour."""

from __future__ import annotations

import pytest
import simpy

from simulator.serving.tenants.attacker import BUDGET, HIT
from simulator.serving.tenants.config import AttackConfig, TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.tenancy import Tenancy
from simulator.streams import Streams
from simulator.study.defence.models import trained


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "events_per_query"), [("nes", 0.5), ("square", 2.0)])
def test_a_hundred_attackers_for_an_hour_take_few_events_a_query(
    kind: str, events_per_query: float
) -> None:
    model, held_out = trained("none", 0)
    pictures = Pictures.seen_by(model, *held_out)
    attack = AttackConfig(kind=kind)
    config = TenantsConfig(attackers=100, horizon_s=3600.0, gap_s=600.0, attack=attack)
    tenancy = Tenancy(config, Defended(model, 0.1, Streams(0)), pictures, Streams(0))
    env = simpy.Environment()
    tenancy.move_in(env)
    env.run()
    queries = tenancy.gateway.admitted.total()
    assert queries > 800_000
    # NES: steps of 31 queries, in batches; Square: a query a step, most of them served alone.
    assert next(env._eid) < events_per_query * queries
    assert len({row.tenant for row in tenancy.sessions}) > 95  # a gap may last the hour
    ended = [row for row in tenancy.sessions if row.outcome in (HIT, BUDGET)]
    assert len(ended) > 400
    assert (
        max(row.queries for row in tenancy.sessions)
        < attack.budget + attack.step_queries + attack.verifying
    )
