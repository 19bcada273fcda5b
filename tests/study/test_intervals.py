"""Intervals of least-squares fits."""

import numpy as np
import pytest
from scipy.stats import binomtest

from simulator.study.intervals import half_widths


def test_intervals_of_a_straight_line_cover_it_as_often_as_they_say():
    """200 seeds of eight points, unknown noise; binomial test at 1 %."""
    generator = np.random.default_rng(3)
    design = np.stack([np.ones(8), np.arange(8.0)], axis=1)
    truth, inside = np.array([2.0, 0.5]), np.zeros(2, dtype=int)
    for _ in range(200):
        measured = design @ truth + 0.3 * generator.standard_normal(8)
        found, *_ = np.linalg.lstsq(design, measured, rcond=None)
        widths = np.array(half_widths(design, measured - design @ found))
        inside += np.abs(found - truth) <= widths
    assert all(binomtest(int(count), 200, 0.95).pvalue > 0.01 for count in inside)


def test_as_many_unknowns_as_rows_or_columns_alike_leave_no_interval():
    assert half_widths(np.eye(2), np.zeros(2)) == [None, None]
    assert half_widths(np.ones((5, 2)), np.ones(5)) == [None, None]


def test_a_scaled_parameter_has_a_scaled_interval():
    residuals = np.array([0.1, -0.2, 0.1, 0.05])
    (one,), (half,) = (half_widths(scale * np.ones((4, 1)), residuals) for scale in (1.0, 2.0))
    assert half == pytest.approx(one / 2)


def test_a_parameter_that_nothing_feels_leaves_the_others_their_intervals():
    design = np.column_stack([np.ones(4), np.zeros(4)])
    (known, unknown) = half_widths(design, np.array([0.1, -0.2, 0.1, 0.05]))
    assert known > 0
    assert unknown is None
