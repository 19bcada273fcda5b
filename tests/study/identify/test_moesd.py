"""MoESD's parameters: what speedups leave open, and what closes it."""

from itertools import product

import numpy as np
import pytest

from simulator.speculation.performance import NAMES
from simulator.study.identify.check_moesd import SCALE
from simulator.study.identify.kinds import KINDS
from simulator.study.identify.moesd import (
    agreeing,
    pinned,
    readings,
    readings_of_all,
    relative_jacobian,
)
from simulator.study.identify.prior import RATIO, with_levels
from simulator.study.identify.rank import identifiability
from simulator.study.identify.rows import Row

EXACT = 1e-9
TOGETHER = {SCALE: np.array([1.0] * 8 + [0.0, 0.0])}


def test_levels_come_from_sizes_and_bandwidth(prior):
    loads = [prior.levels[name][0] for name in ("bias", "k2", "draft_bias")]
    assert loads == pytest.approx([3.70e-3, 0.378e-3, 0.485e-3], rel=2e-3)
    for name in NAMES[:9]:
        low, middle, high = prior.levels[name]
        assert (middle / low, high / middle) == pytest.approx((RATIO, RATIO))
    assert prior.levels["lambda"] == pytest.approx((0.2, 0.447, 1.0), rel=1e-3)


def test_the_rank_is_nine_of_ten_on_all_points(prior, pool):
    found = identifiability(relative_jacobian(prior.middle, prior, pool(0.01)), NAMES, TOGETHER)
    assert found.rank == 9
    assert [direction.words for direction in found.null_directions] == [SCALE]
    assert set(found.free) == set(NAMES[:8])


def test_the_derivatives_are_those_of_the_readings(prior):
    kinds = ("speedup", "ar_step_time", "verify_step_time", "draft_step_time", "reject_time")
    rows = [Row(kind, 8, 4, batch, 0.01) for kind in kinds for batch in (1, 16, 100)]
    found = relative_jacobian(prior.middle, prior, rows)
    for column in range(10):
        up, down = prior.middle.copy(), prior.middle.copy()
        up[column] *= np.exp(1e-5)
        down[column] *= np.exp(-1e-5)
        change = np.log(readings(up, prior, rows) / readings(down, prior, rows)) / 2e-5
        assert found[:, column] == pytest.approx(change, abs=1e-6)


@pytest.mark.parametrize("stride", [20, 18, 11, 1])
def test_speedups_leave_three_solutions_however_many(prior, pool, stride):
    """12, 13, 21 and 228 speedups: the true combination, and it times sqrt(5) and over sqrt(5)."""
    found = agreeing(prior, pool(EXACT)[::stride])
    assert len(found.assignments) == 3
    assert found.unique_after is None
    assert set(pinned(found.assignments, prior)) == {"lambda", "s"}
    ratios = np.sort(found.assignments[:, :8] / prior.middle[:8], axis=0)
    assert ratios == pytest.approx(np.array([[1 / RATIO], [1.0], [RATIO]]) * np.ones(8))


@pytest.mark.parametrize("stride", [20, 11, 1])
def test_one_plain_step_time_makes_it_unique(prior, pool, stride):
    rows = [*pool(EXACT)[::stride], Row("ar_step_time", 8, 1, 16, EXACT)]
    found = agreeing(prior, rows)
    assert found.assignments == pytest.approx(prior.middle[None])
    assert found.unique_after == len(rows)


def test_a_time_first_is_unique_before_the_last_row(prior, pool):
    rows = [Row("ar_step_time", 8, 1, 16, EXACT), *pool(EXACT)[::11]]
    found = agreeing(prior, rows)
    assert len(found.assignments) == 1
    assert len(agreeing(prior, rows[: found.unique_after]).assignments) == 1
    assert len(agreeing(prior, rows[: found.unique_after - 1]).assignments) > 1


def test_a_wider_tolerance_never_leaves_fewer_solutions(prior, pool):
    counts = [len(agreeing(prior, pool(t)[::11]).assignments) for t in (EXACT, 0.01, 0.02)]
    assert counts == sorted(counts)
    assert counts[1] > 3


def test_filtering_equals_evaluating_every_combination(prior):
    """A plan of few levels, each combination through the model itself."""
    levels = {name: values[1] for name, values in prior.levels.items()}
    levels |= {name: list(prior.levels[name]) for name in ("k2", "draft_k", "lambda", "s")}
    small = with_levels(prior, levels, "here")
    rows = [Row("speedup", 8, 4, batch, 0.02) for batch in (1, 8, 40, 100)]
    truth = readings(small.middle, small, rows)
    kept = {
        theta
        for theta in product(*small.levels.values())
        if np.all(np.abs(readings(np.array(theta), small, rows) / truth - 1) <= 0.02)
    }
    assert {tuple(theta) for theta in agreeing(small, rows).assignments.tolist()} == kept
    assert 1 < len(kept) < 81


def test_readings_of_many_are_readings_of_each(prior):
    kinds = ("speedup", "ar_step_time", "verify_step_time", "draft_step_time", "reject_time")
    rows = [Row(kind, 8, 4, 12, 0.01) for kind in kinds]
    times = np.abs(np.random.default_rng(0).normal(1e-3, 1e-4, size=(5, 8)))
    many = readings_of_all(times, 0.4, 1.02, prior, rows)
    for row, one in zip(many, times, strict=True):
        assert row == pytest.approx(readings(np.array([*one, 0.4, 1.02]), prior, rows))


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_says_of_each_kind_what_its_unit_says(prior, pool, kind):
    rows = [*pool(0.01), Row(kind, 8, 4, 16, 0.01)]
    found = identifiability(relative_jacobian(prior.middle, prior, rows), NAMES, TOGETHER)
    free = [direction.words for direction in found.null_directions] == [SCALE]
    assert free == (KINDS[kind].unit == "1")
    assert found.rank == (9 if free else 10)
