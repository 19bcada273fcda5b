"""What may be asked, and what is refused before anything runs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from simulator.errors import ConfigError
from simulator.serving.tenants.config import EndpointConfig, TenantsConfig
from simulator.study.defence.question import BARE, PEACE, Case, Question, words_beside

QUESTION = Question(
    tenants=TenantsConfig(),
    defences=("rnd", "rnd_gf"),
    nus=(0.1,),
    rate_limits_per_s=(math.inf, 2.0),
    objective_s=0.1,
    beside=(),
    seed=0,
    replications=2,
)


def test_peace_and_bare_attacks_come_first_then_every_noise_with_every_limit() -> None:
    assert QUESTION.cases == [
        PEACE,
        BARE,
        Case("none", 0.0, 2.0),
        Case("rnd", 0.1, math.inf),
        Case("rnd", 0.1, 2.0),
        Case("rnd_gf", 0.0, math.inf),  # a model of its own: what it does without noise
        Case("rnd_gf", 0.0, 2.0),
        Case("rnd_gf", 0.1, math.inf),
        Case("rnd_gf", 0.1, 2.0),
    ]


def test_a_quota_holds_where_limits_do_and_has_a_case_of_its_own() -> None:
    found = replace(QUESTION, defences=("rnd",), quota=50).cases
    none = [case for case in found if case.defence == "none"]
    assert none == [PEACE, BARE, Case("none", 0.0, math.inf, 50), Case("none", 0.0, 2.0, 50)]
    assert QUESTION.tenants_of(none[2]).limits.quota == 50
    assert QUESTION.tenants_of(BARE).limits.quota is None


def test_a_case_has_its_limit_and_peace_has_no_attackers() -> None:
    assert QUESTION.tenants_of(PEACE).attackers == 0
    limited = QUESTION.tenants_of(Case("rnd", 0.1, 2.0))
    assert (limited.attackers, limited.limits.rate_per_s) == (20, 2.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nus": (0.0,)}, r"0\.0 must lie in \(0, 1\].*without noise is always there"),
        ({"defences": ("rnd_gff",)}, "Did you mean 'rnd_gf'"),
        ({"rate_limits_per_s": ()}, "must be different values, at least one"),
        ({"nus": (0.1, 0.1)}, "must be different values"),
        ({"replications": 0}, "replications=0"),
        ({"quota": 0}, "quota=0 must be at least 1"),
        ({"rate_limits_per_s": (math.inf, 0.0)}, r"limits=\[inf, 0.0\]: 0.0 queries/s would let"),
        ({"rate_limits_per_s": (math.nan,)}, "nan queries/s would let nobody in"),
        ({"tenants": TenantsConfig(attackers=0)}, "attackers=0 leaves nothing"),
        (
            {"tenants": TenantsConfig(endpoint=EndpointConfig(share=0.5))},
            r"share=0\.5 has no effect",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(QUESTION, **changed)


def test_overrides_of_a_cluster_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="scenario=code has no effect: llm_rate=0"):
        words_beside(["scenario=code"], 0.0, 300.0, 0)
    assert words_beside([], 0.0, 300.0, 0) == ()


def test_clusters_with_fewer_replicas_than_servers_are_refused() -> None:
    shared = TenantsConfig(endpoint=EndpointConfig(share=0.5, servers=2))
    words = words_beside(["scenario=chat"], 1.0, 10.0, 0)
    with pytest.raises(ConfigError, match="servers=2 on shared GPUs, but the LLM has replicas=1"):
        replace(QUESTION, tenants=shared, beside=words)


@pytest.mark.slow
def test_clusters_that_change_are_refused() -> None:
    words = words_beside(["scenario=chat"], 1.0, 10.0, 0)
    failing = (*words, "+cluster.failures={mtbf_s: 100.0, mttr_s: 10.0}")
    with pytest.raises(ConfigError, match="must stay as it is"):
        replace(QUESTION, beside=failing)
