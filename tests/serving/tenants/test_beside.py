"""An endpoint beside a cluster: on its GPUs it slows it and is slowed, beside them it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.tenants import had, line, pictures

from simulator.compose import compose
from simulator.scenario import Scenario, build
from simulator.serving.cluster import Cluster
from simulator.serving.tenants.config import AttackConfig, EndpointConfig, TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.tenancy import Tenancy
from simulator.streams import Streams
from simulator.trace.in_memory import KeptRows
from simulator.trace.schema import ITERATIONS, REQUESTS

ASKED = 20


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return build(compose(["scenario=chat", f"run.requests={ASKED}", "workload.rate=4"]))


def tenancy(share: float | None, attackers: int, **endpoint: float) -> Tenancy:
    model = line()
    attack = AttackConfig(radius=1e-6, samples=5, budget=10_000)
    config = TenantsConfig(
        horizon_s=5.0,
        attackers=attackers,
        gap_s=0.1,
        attack=attack,
        endpoint=EndpointConfig(share=share, **endpoint),
    )
    streams = Streams(1)
    return Tenancy(config, Defended(model, 0.0, streams), pictures(model), streams)


def served(scenario: Scenario, neighbours: Tenancy | None) -> tuple[KeptRows, KeptRows]:
    requests, iterations = KeptRows(REQUESTS), KeptRows(ITERATIONS)
    Cluster(
        scenario.cluster(scenario.config.speculation.gamma),
        scenario.router(),
        scenario.workload,
        scenario.acceptance,
        Streams(1),
        requests_trace=requests,
        iterations_trace=iterations,
        neighbours=neighbours,
    ).run()
    return requests, iterations


def finish_s(requests: KeptRows) -> np.ndarray:
    return requests.columns()["finish_s"]


def test_on_gpus_of_its_own_it_changes_nothing_in_the_cluster(scenario: Scenario) -> None:
    alone, beside = served(scenario, None), served(scenario, tenancy(None, 3))
    assert [one.rows for one in alone] == [one.rows for one in beside]


def test_on_shared_gpus_attackers_slow_the_cluster_and_the_cluster_them(scenario: Scenario) -> None:
    quiet, busy = tenancy(0.5, 0), tenancy(0.5, 3)
    in_peace, attacked = served(scenario, quiet)[0], served(scenario, busy)[0]
    assert len(in_peace.rows) == len(attacked.rows) == ASKED
    assert finish_s(attacked).mean() > finish_s(in_peace).mean()
    alone = tenancy(None, 3)
    served(scenario, alone)
    assert had(busy, attacks=True).queries < had(alone, attacks=True).queries


def test_an_idle_neighbour_leaves_steps_as_long_as_they_are(scenario: Scenario) -> None:
    neighbour = tenancy(0.5, 0)
    neighbour._config = replace(neighbour._config, benign_rate_per_s=1e-9)
    alone, beside = served(scenario, None), served(scenario, neighbour)
    for mine, its in zip(alone[1].rows, beside[1].rows, strict=True):
        assert mine == pytest.approx(its, rel=1e-9)
