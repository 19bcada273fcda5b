"""Scores of reproduced curves, on curves whose scores are plain to see."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.study.moesd.experiment import at_batches, smoothed, speedup_curves
from simulator.study.moesd.scores import (
    Reproduced,
    crossover,
    mean_bias,
    mean_error,
    peak_error,
    window,
)

CURVE = replace(
    speedup_curves("qwen2_57b_a14b")[-1],
    batch=(1, 2, 4, 8),
    value=(1.0, 2.0, 2.0, 1.0),
)


def test_cells_that_calibration_saw_do_not_count():
    found = Reproduced(CURVE, np.array([9.0, 2.2, 1.8, 1.0]), calibrated=(1,))
    assert found.predicted.tolist() == [False, True, True, True]
    assert found.errors == pytest.approx([0.1, -0.1, 0.0])
    assert mean_error([found]) == pytest.approx(0.2 / 3)


def test_the_mean_is_over_cells_not_over_curves():
    one = Reproduced(at_batches(CURVE, [1]), np.array([2.0]))
    three = Reproduced(at_batches(CURVE, [2, 4, 8]), np.array([2.0, 2.0, 1.0]))
    assert mean_error([one, three]) == pytest.approx(0.25)


def test_without_a_prediction_there_is_no_error():
    found = Reproduced(CURVE, np.ones(4), calibrated=CURVE.batch)
    assert np.isnan(mean_error([found]))
    assert np.isnan(mean_bias([found]))


def test_bias_keeps_the_sign():
    found = Reproduced(CURVE, np.array([1.1, 2.0, 1.6, 1.0]))
    assert mean_bias([found]) == pytest.approx(-0.025)
    assert mean_error([found]) == pytest.approx(0.075)


def test_peaks_are_compared_with_the_smoothed_curve_of_fig_6_alone():
    found = Reproduced(CURVE, np.array([1.0, 1.0, 1.0, 2.0]))
    highest = 5 / 3  # mean of 1, 2, 2
    assert found.peak_error == pytest.approx(2 / highest - 1)
    assert (found.best_batch, found.published_best_batch) == (8, 2)
    other = Reproduced(replace(CURVE, figure="5c"), found.value * 100)
    assert peak_error([found, other]) == pytest.approx(abs(found.peak_error))


def test_smoothing_keeps_a_line_but_for_its_ends():
    line = np.arange(6.0)
    assert smoothed(line) == pytest.approx([0.5, 1, 2, 3, 4, 4.5])


def test_crossover_lies_between_the_batches_around_it():
    first, second = np.array([1.0, 1.0, 3.0, 1.0]), np.array([2.0, 2.0, 2.0, 2.0])
    assert crossover([10, 20, 30, 40], first, second) == pytest.approx(25.0)


@pytest.mark.parametrize("first", [0.0, 3.0])
def test_curves_that_never_cross_have_no_crossover(first):
    assert crossover([1, 2, 4], np.full(3, first), np.full(3, 1.0)) is None


def test_a_window_ends_where_the_line_meets_the_level():
    level = 2 / np.sqrt(2)
    found = window((1, 2, 4, 8), np.array([1.0, 2.0, 2.0, 1.0]))
    assert found.best_batch == 2
    assert found.low == pytest.approx(1 + (level - 1))
    assert found.high == pytest.approx(4 + 4 * (2 - level))
    assert found.width == pytest.approx(found.high - found.low)


def test_a_window_may_reach_both_ends_and_stops_at_the_first_dip():
    flat = window((1, 50, 100), np.ones(3))
    assert (flat.low, flat.high) == (1.0, 100.0)
    dipped = window((1, 2, 3, 4), np.array([2.0, 2.0, 1.0, 2.0]))
    assert dipped.high < 3


def test_curves_at_some_batches_keep_their_values():
    few = at_batches(CURVE, [8, 2])
    assert (few.batch, few.value) == ((2, 8), (2.0, 1.0))
