"""Attacks as generators: what they ask, where they stay, and that they descend."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.tenants import PIXELS, attacked, line, pictures

from simulator.errors import ConfigError
from simulator.serving.tenants.attacks import ATTACKS
from simulator.serving.tenants.balls import Ball, distance
from simulator.serving.tenants.config import AttackConfig
from simulator.serving.tenants.square import side_pixels

KINDS = {"nes": 31, "zo_sign": 16, "simba": 1, "square": 1, "random_search": 2}
"""Kinds, and queries of one step with q = 15."""

SLOPE = np.random.default_rng(1).standard_normal(PIXELS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_descends_a_line_within_its_ball(kind: str, norm: str) -> None:
    if norm not in ATTACKS.get(kind)().norms:
        with pytest.raises(ConfigError, match="is made for linf"):
            AttackConfig(kind=kind, norm=norm)
        return
    start = np.full(PIXELS, 0.02)  # the range of pixels binds too
    config = AttackConfig(kind=kind, norm=norm, radius=0.1)
    search = ATTACKS.get(kind)().search(start, config.reach, np.random.default_rng(2))
    points, first, sizes = next(search), None, set()
    for _ in range(200):
        candidate, margins = points[0], points @ SLOPE
        assert distance(candidate, start, norm) <= 0.1 + 1e-12
        assert candidate.min() >= 0.0
        assert candidate.max() <= 1.0
        first = margins[0] if first is None else first
        sizes.add(len(points))
        points = search.send(margins)
    assert sizes == {KINDS[kind]}
    down = Ball(start, 0.1, "linf").project(start - 10.0 * np.sign(SLOPE)) @ SLOPE
    share = (first - points[0] @ SLOPE) / (start @ SLOPE - down)
    assert share > (0.5 if norm == "linf" else 0.1)


def test_nes_and_forward_differences_point_down_the_slope() -> None:
    start = np.full(PIXELS, 0.5)
    for kind in ("nes", "zo_sign"):
        reach = AttackConfig(kind=kind, samples=500, norm="linf").reach
        search = ATTACKS.get(kind)().search(start, reach, np.random.default_rng(3))
        moved = search.send(next(search) @ SLOPE)[0] - start
        assert (np.sign(moved) == -np.sign(SLOPE)).mean() > 0.9


def test_nes_moves_by_antithetic_pairs_and_zo_sign_by_forward_differences() -> None:
    # On a curved function they differ: a pair cancels the curvature, a forward difference does not.
    start, mu, step = np.full(PIXELS, 0.5), 0.4, 0.01

    def margin(points: np.ndarray) -> np.ndarray:
        return points @ SLOPE + 3.0 * ((points - 0.5) ** 2).sum(axis=-1)

    moved = {}
    for kind in ("nes", "zo_sign"):
        reach = AttackConfig(kind=kind, samples=4, mu=mu, step=step).reach
        search = ATTACKS.get(kind)().search(start, reach, np.random.default_rng(3))
        moved[kind] = search.send(margin(next(search)).tolist())[0]
    directions = np.random.default_rng(3).standard_normal((4, PIXELS))
    ahead, behind = margin(start + mu * directions), margin(start - mu * directions)
    pairs, forward = (ahead - behind) @ directions, (ahead - margin(start)) @ directions
    assert (moved["nes"] == start - step * np.sign(pairs)).all()
    assert (moved["zo_sign"] == start - step * np.sign(forward)).all()
    assert (moved["nes"] != moved["zo_sign"]).any()


def test_squares_shrink_with_the_budget_spent() -> None:
    sides = [side_pixels(asked, 1000, 64) for asked in range(0, 1001, 50)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (2, 1)


def test_settings_that_an_attack_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mu=0\.1 has no effect: attack=square has no mu"):
        AttackConfig(kind="square", mu=0.1)
    with pytest.raises(ConfigError, match=r"unknown attack 'nez'.*Did you mean 'nes'"):
        AttackConfig(kind="nez")
    with pytest.raises(ConfigError, match="budget=0 must be at least 1"):
        AttackConfig(budget=0)
    with pytest.raises(ConfigError, match="mu=inf must be more than 0, and finite"):
        AttackConfig(mu=math.inf)


@pytest.mark.parametrize(("kind", "eot", "step"), [("nes", 1, 31), ("zo_sign", 4, 64)])
def test_a_budget_that_the_first_step_spends_is_refused(kind: str, eot: int, step: int) -> None:
    with pytest.raises(ConfigError, match=f"budget={step} is spent before.*takes {step} queries"):
        AttackConfig(kind=kind, eot=eot, budget=step)
    AttackConfig(kind=kind, eot=eot, budget=step + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_beats_a_line_without_noise(kind: str) -> None:
    model = line()
    found = attacked(AttackConfig(kind=kind, radius=0.3), 0.0, model, pictures(model), 10)
    assert sum(session.hit for session in found) >= 5
    for session in found:
        assert np.abs(session.candidate - session.picture).max() <= 0.3 + 1e-12
