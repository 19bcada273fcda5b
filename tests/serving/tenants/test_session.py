"""Sessions: budgets, averaging, and rules that stop them."""

from __future__ import annotations

import numpy as np
from helpers.tenants import attacked, line, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.tenants.config import AttackConfig
from simulator.serving.tenants.session import Session, margin, margins

PICTURE = np.full(16, 0.5)
RIGHT, WRONG = 1.0, -1.0
"""Margins of replies."""


def session(**given: object) -> Session:
    return Session(AttackConfig(**given), PICTURE, 0, np.random.default_rng(1))


def answer(one: Session, margin: float) -> None:
    assert one.points is not None
    one.take([margin] * len(one.points))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["nes", "zo_sign", "simba", "square", "random_search"]),
    budget=st.integers(100, 400),
    eot=st.integers(1, 3),
    repeats=st.integers(1, 30) | st.none(),
    mean=st.floats(-0.5, 3.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_queries_never_exceed_the_budget_by_a_whole_step(
    kind: str, budget: int, eot: int, repeats: int | None, mean: float, seed: int
) -> None:
    stop = "first_hit" if repeats is None else "verified"
    one = session(kind=kind, budget=budget, eot=eot, repeats=repeats, stop=stop)
    generator = np.random.default_rng(seed)
    while one.points is not None:
        assert one.queries < budget
        one.take(generator.normal(mean, 1.0, len(one.points)).tolist())
    points = {"nes": 31, "zo_sign": 16, "random_search": 2}.get(kind, 1)
    assert one.queries < budget + max(points * eot, repeats or 0)
    assert one.first_hit <= one.queries
    assert one.distortion <= 0.15 + 1e-12
    if not one.hit:
        assert one.queries >= budget


def test_averaging_asks_every_point_so_often_and_takes_the_mean() -> None:
    one, four = session(), session(eot=4)
    assert one.points is not None
    assert four.points is not None
    assert four.points.shape == (4 * len(one.points), 16)
    assert (four.points[::4] == one.points).all()
    # Of the first point's four replies three are right by 1, one is wrong by 2: right on average.
    four.take([-2.0] + [RIGHT] * (len(four.points) - 1))
    assert four.first_hit == 0
    assert four.points is not None


def test_the_first_misclassified_candidate_ends_a_session_that_stops_at_it() -> None:
    one = session(stop="first_hit")
    answer(one, WRONG)
    assert (one.points, one.hit, one.queries, one.first_hit) == (None, True, 31, 31)


def test_averaging_does_not_multiply_the_replies_that_verify() -> None:
    one = session(eot=3, repeats=5)
    answer(one, WRONG)
    assert one.points is not None
    assert len(one.points) == 5


def test_a_hit_is_verified_by_most_of_the_repeats_else_the_attack_goes_on() -> None:
    one = session(repeats=5)
    answer(one, WRONG)
    assert one.points is not None
    assert one.points.shape == (5, 16)
    assert (one.points == one.candidate).all()
    one.take([WRONG, WRONG, RIGHT, RIGHT, RIGHT])
    assert one.points is not None
    assert one.points.shape == (31, 16)
    answer(one, WRONG)
    one.take([WRONG, WRONG, WRONG, RIGHT, RIGHT])
    assert (one.points, one.hit, one.queries, one.first_hit) == (None, True, 72, 31)


def test_a_hit_that_no_budget_is_left_to_verify_does_not_count() -> None:
    one = session(budget=62, repeats=5)
    answer(one, RIGHT)
    answer(one, WRONG)
    assert (one.points, one.hit, one.queries, one.first_hit) == (None, False, 62, 62)


def test_a_budget_spent_on_verifying_ends_a_session() -> None:
    one = session(budget=32, repeats=5)
    answer(one, WRONG)
    answer(one, RIGHT)
    assert (one.points, one.hit, one.queries) == (None, False, 36)


def test_a_first_hit_that_is_noise_looks_like_success() -> None:
    # Margins near 0.5 behind noise of 1: single replies are wrong now and then, most are right.
    model = line(bias=0.0)
    config = AttackConfig(kind="simba", mu=1e-6, radius=1e-5, budget=300, stop="first_hit")
    naive = attacked(config, 0.3, model, pictures(model), 20)
    asked = attacked(
        AttackConfig(kind="simba", mu=1e-6, radius=1e-5, budget=300, repeats=25),
        0.3,
        model,
        pictures(model),
        20,
    )
    assert sum(one.hit for one in naive) > sum(one.hit for one in asked) + 5
    assert sum(one.first_hit > 0 for one in asked) >= sum(one.hit for one in naive)


def test_margins_are_told_by_row_too() -> None:
    scores = np.array([[3.0, 1.0], [3.0, 1.0]])
    assert margins(scores, np.array([0, 1])).tolist() == [2.0, -2.0]


def test_the_margin_of_one_reply_is_that_of_many_to_the_bit() -> None:
    scores, labels = np.random.default_rng(3).normal(size=(50, 10)), np.arange(50) % 10
    one_by_one = [margin(row, label) for row, label in zip(scores.tolist(), labels, strict=True)]
    assert one_by_one == margins(scores, labels).tolist()
