"""One case in one replication: what is judged, and on which pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.mlp import Mlp
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.streams import Streams
from simulator.study.defence.measure import measure, misleads
from simulator.study.defence.question import BARE, Case, Question

FIRST = Mlp([np.array([[1.0, 0.0]]), np.zeros(2)])
"""Scores its only pixel against 0."""


@pytest.mark.parametrize(("pixel", "wrong"), [(0.3, False), (-0.3, True), (0.05, False)])
def test_a_majority_of_replies_judges_and_not_one_of_them(pixel: float, wrong: bool) -> None:
    # Behind noise of 0.2 single replies to 0.05 are wrong in 40 % of cases, to 0.3 in 7 %.
    judge = Defended(FIRST, 0.2, Streams(2))
    found = [misleads(judge, np.array([pixel]), 0) for _ in range(40)]
    assert (np.mean(found) > 0.5) == wrong


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
