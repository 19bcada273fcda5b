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
    """Of eight seeds, too: plain percentiles cover the mean 9 times in 10 there."""
    bands = bootstrap(np.random.default_rng(1).normal(5.0, 1.0, (8, 1000)))
    covered = np.mean((bands.low <= 5.0) & (bands.high >= 5.0))
    assert 0.93 <= covered <= 0.97


def test_one_seed_has_no_band():
    for band in (bootstrap(np.ones((1, 3))), ratio_of_means([2.0], [4.0])):
        assert np.isfinite(band.mean).all()
        assert np.isnan(band.low).all()
        assert np.isnan(band.high).all()


def test_a_ratio_is_paired():
    below = [100.0, 200.0, 400.0]
    band = ratio_of_means([50.0, 100.0, 200.0], below)
    assert [float(x) for x in band] == pytest.approx([0.5, 0.5, 0.5])


def test_bands_are_the_same_every_time():
    values = np.random.default_rng(2).random((8, 3))
    assert np.array_equal(bootstrap(values).low, bootstrap(values).low)
