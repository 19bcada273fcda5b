"""Curves and bands."""

import numpy as np
import pytest

from simulator.study.control.regret import bootstrap, checkpoints, ratio_of_means


def test_checkpoints_rise_to_the_end():
    places = checkpoints(601)
    assert places[-1] == 601
    assert places == sorted(set(places))
    assert len(places) <= 60


def test_bands_cover_the_mean_about_as_often_as_they_say():
    generator, covered = np.random.default_rng(1), 0
    for _ in range(60):
        band = bootstrap(generator.normal(5.0, 1.0, 12))
        covered += bool(band.low <= 5.0 <= band.high)
    assert 48 <= covered <= 60  # percentile intervals of twelve are a little short


def test_a_ratio_is_paired():
    below = [100.0, 200.0, 400.0]
    band = ratio_of_means([50.0, 100.0, 200.0], below)
    assert [float(x) for x in band] == pytest.approx([0.5, 0.5, 0.5])


def test_bands_are_the_same_every_time():
    values = np.random.default_rng(2).random((8, 3))
    assert np.array_equal(bootstrap(values).low, bootstrap(values).low)
