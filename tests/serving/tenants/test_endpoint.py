"""Servers of the endpoint: queueing as in theory, batches, and how much one query costs to run."""

from __future__ import annotations

import numpy as np
import pytest
import simpy
from helpers.suites import some
from helpers.tenants import line, pictures

from simulator.serving.tenants.config import AttackConfig, EndpointConfig, TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.tenancy import Tenancy
from simulator.streams import Streams


def run(config: TenantsConfig) -> tuple[Tenancy, int]:
    """Return what was run, and how many events it took."""
    model, streams, env = line(), Streams(1), simpy.Environment()
    tenancy = Tenancy(config, Defended(model, 0.0, streams), pictures(model), streams)
    tenancy.move_in(env)
    env.run()
    return tenancy, next(env._eid)


@pytest.mark.parametrize("load", some((0.3, 0.6, 0.8), 0.6))
def test_one_at_a_time_users_wait_as_in_an_m_d_1_queue(load: float) -> None:
    service_s, queries = 0.01, 20_000
    config = TenantsConfig(
        attackers=0,
        horizon_s=queries * service_s / load,
        benign_rate_per_s=load / service_s,
        endpoint=EndpointConfig(batch_s=0.004, query_s=0.006, max_batch=1),
    )
    latency_s = np.array(run(config)[0].users.latency_s)
    # Pollaczek and Khinchine: the mean wait is rho D / (2 (1 - rho)).
    wait_s = load * service_s / (2.0 * (1.0 - load))
    assert latency_s.mean() - service_s == pytest.approx(wait_s, rel=0.1)
    assert latency_s.min() == pytest.approx(service_s)
    assert (latency_s <= service_s + 1e-9).mean() == pytest.approx(1.0 - load, abs=0.02)


def test_what_waits_is_served_together_up_to_the_largest_batch() -> None:
    config = TenantsConfig(
        attackers=0,
        horizon_s=20.0,
        benign_rate_per_s=200.0,
        endpoint=EndpointConfig(batch_s=0.01, query_s=0.001, max_batch=4),
    )
    found, _ = run(config)
    (server,) = found.servers
    served = found.gateway.admitted.total()
    assert served / 4 < server.batches < 0.6 * served
    # Alone a query would take 11 ms, 2.2 times what comes; batches keep up.
    assert np.quantile(found.users.latency_s, 0.99) < 0.1


@pytest.mark.parametrize("kind", ["nes", "zo_sign", "simba", "square", "random_search"])
def test_a_step_and_a_batch_cost_few_events_whatever_the_queries(kind: str) -> None:
    attack = AttackConfig(kind=kind, radius=1e-6, budget=400)
    config = TenantsConfig(attackers=5, horizon_s=10.0, gap_s=0.5, attack=attack)
    found, events = run(config)
    (server,) = found.servers
    queries, users = found.gateway.admitted.total(), len(found.users.latency_s)
    steps = (queries - users) / attack.step_queries
    assert len(found.sessions) >= 5
    # An event when a step is answered, one as a batch ends, one that wakes a server, one a user.
    assert events < 1.1 * steps + 2.0 * server.batches + users + 2 * len(found.sessions) + 20
