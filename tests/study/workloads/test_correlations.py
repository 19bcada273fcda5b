"""Rank correlations from counts on a grid, against those of all ranks."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from simulator.study.workloads.correlations import Pairs, Serial


@pytest.mark.parametrize("strength", [-0.9, 0.0, 0.5])
def test_lognormal_pairs(strength):
    generator = np.random.default_rng(5)
    first, noise = generator.normal(size=(2, 4000))
    second = strength * first + np.sqrt(1 - strength**2) * noise
    values = np.exp(6 + first), np.exp(4 + second)
    pairs = Pairs()
    for part in range(4):
        pairs.add(*(value[part::4] for value in values))
    assert pairs.spearman() == pytest.approx(spearmanr(*values).statistic, abs=0.005)


def test_ties_and_zeros():
    first = np.array([1.0, 1.0, 2.0, 0.0, 8.0, 2.0])
    second = np.array([5.0, 7.0, 7.0, 0.0, 9.0, 1.0])
    pairs = Pairs()
    pairs.add(first, second)
    assert pairs.spearman() == pytest.approx(spearmanr(first, second).statistic)


def test_what_never_varies_has_none():
    pairs = Pairs()
    pairs.add(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert pairs.spearman() is None
    assert Pairs().spearman() is None


def test_neighbours_pair_up_across_blocks():
    values = np.exp(np.random.default_rng(2).normal(size=300))
    whole, parts = Serial(), Serial()
    whole.add(values)
    for part in np.split(values, [1, 1, 40, 299]):
        parts.add(part)
    assert parts.pairs.spearman() == whole.pairs.spearman()
    assert parts.pairs._count.sum() == 299
