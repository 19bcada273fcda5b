"""Square: points of the ball's faces, changed by one square at a time."""

from __future__ import annotations

import numpy as np

from simulator.serving.tenants.attacks import ATTACKS
from simulator.serving.tenants.config import AttackConfig
from simulator.serving.tenants.square import DRAWS

START = np.random.default_rng(4).random(400)


def test_every_pixel_is_at_either_bound_and_a_step_changes_one_square() -> None:
    reach = AttackConfig(kind="square", radius=0.1, budget=400).reach
    search = ATTACKS.get("square")().search(START, reach, np.random.default_rng(1))
    tried, best, slope = next(search), np.inf, np.random.default_rng(2).normal(size=400)
    held, sides = tried[0], []
    for _ in range(2 * DRAWS):  # past the first block of draws
        point = tried[0]
        bottom, top = np.maximum(START - 0.1, 0.0), np.minimum(START + 0.1, 1.0)
        assert ((point == bottom) | (point == top)).all()
        rows, columns = np.nonzero((point != held).reshape(20, 20))
        if rows.size:
            sides.append(max(np.ptp(rows), np.ptp(columns)) + 1)
        margin = float(point @ slope)
        held, best = (point, margin) if margin < best else (held, best)
        tried = search.send([margin])
    assert best == float(held @ slope)
    assert max(sides) == 3  # half of 0.05 of 400 pixels
    assert max(sides[400:]) == 1


def test_averaging_does_not_hurry_the_schedule_of_squares() -> None:
    assert AttackConfig(kind="square", budget=2000, eot=4).reach.budget == 500  # points
