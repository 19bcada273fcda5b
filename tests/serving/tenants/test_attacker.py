"""What clients send, and what they make of replies."""

from __future__ import annotations

import numpy as np
import pytest
import simpy
from helpers.tenants import alone, line, pictures

from simulator.errors import ConfigError, InvariantError
from simulator.serving.request import Traits
from simulator.serving.tenants.attacks import ATTACKS, Attack
from simulator.serving.tenants.burst import Burst
from simulator.serving.tenants.config import AttackConfig, TenantsConfig
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.query import Query


def replied(burst: Burst, place: int, scores: list[float], gpu_s: float) -> None:
    query = Query(place, Traits(), np.zeros(2), burst, place)
    query.gpu_s = gpu_s
    burst.take(query, scores, 0.0)


def test_a_burst_is_answered_by_its_last_reply_in_whatever_order() -> None:
    burst = Burst(simpy.Environment(), 3, label=1)
    for place, scores in ((2, [0.0, 5.0]), (0, [1.0, 0.0])):
        replied(burst, place, scores, 0.25)
        assert not burst.answered.triggered
    replied(burst, 1, [0.0, 0.5], 0.25)
    assert burst.answered.triggered
    assert burst.margins == [-1.0, 0.5, 5.0]
    assert burst.gpu_s == 0.75


@pytest.mark.parametrize("early", [0, 1, 2])
def test_a_burst_that_is_cut_waits_for_what_was_sent_only(early: int) -> None:
    burst = Burst(simpy.Environment(), 5, label=0)
    for place in range(early):
        replied(burst, place, [1.0, 0.0], 0.1)
    burst.cut(sent=2)
    assert burst.answered.triggered == (early == 2)


def test_attackers_take_the_next_picture_that_the_model_is_right_about() -> None:
    model, known = line(), pictures(line(), 6)
    wrong = known.labels.copy()
    wrong[[1, 2, 5]] = 1 - wrong[[1, 2, 5]]
    found = Pictures.seen_by(model, known.pixels, wrong)
    assert found.targets.tolist() == [0, 3, 3, 3, 4, 0]
    with pytest.raises(InvariantError, match="classifies no picture rightly"):
        Pictures.seen_by(model, known.pixels, 1 - known.labels)


def far(start: np.ndarray, reach: object, generator: np.random.Generator):  # type: ignore[no-untyped-def]
    """Leave the ball at once."""
    while True:
        yield start[None] + 1.0


def short(start: np.ndarray, reach: object, generator: np.random.Generator):  # type: ignore[no-untyped-def]
    """End after a step."""
    yield start[None]


@pytest.mark.parametrize(
    ("search", "message"),
    [(far, "distance of 1, but radius=0.15"), (short, "ended by itself after 1 queries")],
)
def test_a_plug_in_that_breaks_the_rules_is_told(
    search: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTACKS._factories, "mine", lambda: Attack(search, ("linf",)))  # type: ignore[arg-type]
    config = TenantsConfig(
        attackers=1, horizon_s=1.0, gap_s=1e-3, attack=AttackConfig(kind="mine", budget=20)
    )
    with pytest.raises(ConfigError, match=rf"attack=mine.*{message}"):
        alone(config)


def test_ordinary_users_come_as_a_poisson_stream_of_all_tenants() -> None:
    config = TenantsConfig(attackers=0, horizon_s=50.0, benign_rate_per_s=40.0, benign_tenants=4)
    found = alone(config)
    queries = [row.queries for row in found.tenants()]
    assert sum(queries) == pytest.approx(2000, abs=4 * 2000**0.5)
    assert len(queries) == 4
    assert queries == pytest.approx([500] * 4, abs=4 * 500**0.5)
