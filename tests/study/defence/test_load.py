"""Noise raises the load of attacks that probe closely, and not of those that probe far."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from helpers.tenants import attacked

from simulator.serving.tenants.config import AttackConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.pictures import Pictures
from simulator.streams import Streams
from simulator.study.defence.measure import misleads
from simulator.study.defence.models import trained


class Found:
    """Sessions of an attack on the plain model behind noise.

    Their number is small where tests are fast: what is asserted then is far from chance.
    """

    def __init__(self, config: AttackConfig, nu: float, sessions: int) -> None:
        model, held_out = trained("none", 0)
        known = Pictures.seen_by(model, *held_out)
        found = attacked(config, nu, model, known, sessions)
        self.queries = float(np.mean([one.queries for one in found]))
        self.believed = float(np.mean([one.hit for one in found]))
        self.first_hit = float(np.mean([one.first_hit > 0 for one in found]))
        judge = Defended(model, nu, Streams(9))
        wrong = [misleads(judge, one.candidate, one.label) for one in found]
        self.majority = float(np.mean(wrong))


@lru_cache
def few(nu: float, mu: float = 0.02, stop: str = "verified") -> Found:
    return Found(AttackConfig(mu=mu, stop=stop), nu, 25)


def test_noise_makes_close_probing_longer_and_less_successful() -> None:
    plain, noisy = (few(nu) for nu in (0.0, 0.1))
    assert noisy.queries > 1.5 * plain.queries
    assert noisy.majority < plain.majority - 0.3
    assert noisy.believed < plain.believed - 0.15


def test_noise_does_next_to_nothing_to_far_probing() -> None:
    plain, noisy = (few(nu, mu=0.1) for nu in (0.0, 0.1))
    assert noisy.queries < 1.25 * plain.queries
    assert noisy.believed > plain.believed - 0.1


def test_stopping_at_the_first_hit_makes_success_look_larger() -> None:
    naive, asked = few(0.1, stop="first_hit"), few(0.1)
    assert naive.believed > naive.majority + 0.2
    assert asked.first_hit >= naive.believed > asked.believed
    assert naive.queries < asked.queries


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "sessions"), [("nes", 100), ("zo_sign", 100), ("square", 30)])
def test_queries_grow_with_noise_while_success_falls(kind: str, sessions: int) -> None:
    found = [Found(AttackConfig(kind=kind), nu, sessions) for nu in (0.0, 0.05, 0.1)]
    queries, majority = [one.queries for one in found], [one.majority for one in found]
    assert queries == sorted(queries)
    assert queries[-1] > 1.5 * queries[0]
    assert majority == sorted(majority, reverse=True)
    assert majority[-1] < 0.4 * majority[0]


@pytest.mark.slow
def test_a_square_attack_that_stops_at_the_first_hit_has_fooled_noise_not_the_model() -> None:
    naive = Found(AttackConfig(kind="square", stop="first_hit"), 0.1, 60)
    assert naive.believed > 0.6
    assert naive.majority < 0.25


@pytest.mark.slow
def test_averaging_multiplies_queries_and_wins_some_success_back() -> None:
    once, four = (Found(AttackConfig(eot=eot), 0.1, 100) for eot in (1, 4))
    free = Found(AttackConfig(eot=4), 0.0, 100)
    assert free.queries > 1.5 * Found(AttackConfig(), 0.0, 100).queries
    assert four.majority > once.majority
