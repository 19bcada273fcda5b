"""What else attackers can do: a larger mu escapes noise, another rule to stop only seems to."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from simulator.serving.tenants.config import AttackConfig, TenantsConfig
from simulator.study.defence.question import Question
from simulator.study.defence.variants import ASKED, Tried, try_out, variant_jobs, variants

QUESTION = Question(
    tenants=TenantsConfig(),
    defences=("rnd",),
    nus=(0.1,),
    rate_limits_per_s=(math.inf,),
    objective_s=0.1,
    beside=(),
    seed=0,
    replications=1,
    variant_sessions=20,
)


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, float], Tried]:
    tried = [try_out(job) for job in variant_jobs(QUESTION) if job[1] != "eot=4"]
    return {(one.variant, one.nu): one for one in tried}


def test_a_larger_mu_outgrows_noise_that_holds_a_small_one(
    found: dict[tuple[str, float], Tried],
) -> None:
    small, large = (found[name, 0.1] for name in (ASKED, "mu=0.1"))
    assert small.majority < 0.6 * found[ASKED, 0.0].majority
    assert small.queries_per_session > 1.4 * found[ASKED, 0.0].queries_per_session
    assert large.majority > 2 * small.majority
    assert large.queries_per_session < 1.3 * found["mu=0.1", 0.0].queries_per_session


def test_who_stops_at_the_first_hit_believes_more_than_there_is(
    found: dict[tuple[str, float], Tried],
) -> None:
    naive = found["stop=first_hit", 0.1]
    assert naive.believed == naive.first_hit >= naive.majority + 4
    assert naive.believed > found[ASKED, 0.1].believed
    free = found["stop=first_hit", 0.0]
    assert free.believed == free.majority  # without noise one reply is as good as many


def test_variants_are_those_that_the_attack_and_its_budget_have() -> None:
    assert list(variants(AttackConfig())) == [ASKED, "mu=0.1", "eot=4", "stop=first_hit"]
    assert list(variants(AttackConfig(budget=100, stop="first_hit"))) == [
        ASKED,
        "mu=0.1",
        "stop=verified",
    ]
    assert list(variants(AttackConfig(kind="square", eot=2))) == [ASKED, "stop=first_hit"]
    assert variant_jobs(replace(QUESTION, variant_sessions=0)) == []


def test_shares_have_wilsons_interval() -> None:
    share = Tried(ASKED, "rnd", 0.1, 10, 9, 5, 0, 100.0).share("majority")
    assert (share.value, share.low) == (0.0, pytest.approx(0.0))
    assert share.high == pytest.approx(0.2775, abs=1e-3)  # z^2 / (n + z^2)
