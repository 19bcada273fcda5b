"""Where attackers may go: balls within the range of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.tenants.balls import NORMS, Ball, distance, downhill


@settings(max_examples=40, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    radius=st.floats(1e-3, 3.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_projected_lies_in_the_ball_and_stays_where_it_is(
    norm: str, radius: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    centre, ball_point = generator.random(16), generator.normal(0.5, 2.0, 16)
    ball = Ball(centre, radius, norm)
    found = ball.project(ball_point)
    assert distance(found, centre, norm) <= radius * (1 + 1e-12)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    assert ball.project(found) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_downhill_is_one_long_and_descends_most(norm: str) -> None:
    slopes = np.array([0.5, -2.0, 0.0, 1.0])
    found = downhill(slopes, norm)
    assert distance(found, np.zeros(4), norm) == pytest.approx(1.0)
    dual = {"linf": np.abs(slopes).sum(), "l2": np.sqrt(slopes @ slopes)}
    assert found @ slopes == pytest.approx(-dual[norm])
    assert (downhill(np.zeros(4), norm) == 0.0).all()
