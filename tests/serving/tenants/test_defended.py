"""Noise before a model: none at nu = 0, and the same whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tenants import PIXELS

from simulator.mlp import Mlp
from simulator.serving.tenants.defended import BLOCK_ROWS, Defended
from simulator.streams import Streams

SAME = Mlp([np.eye(PIXELS), np.zeros(PIXELS)])
"""Shows its inputs, and so the noise."""


def noise(nu: float, sizes: list[int], stream: str = "defence") -> np.ndarray:
    defended = Defended(SAME, nu, Streams(3), stream)
    return np.concatenate([defended.scores(np.zeros((size, PIXELS))) for size in sizes])


def test_noise_is_normal_of_the_size_asked_for() -> None:
    found = noise(0.3, [BLOCK_ROWS])
    assert found.std() == pytest.approx(0.3, rel=0.02)
    assert found.mean() == pytest.approx(0.0, abs=0.01)
    assert not noise(0.0, [4]).any()


def test_batches_do_not_change_the_noise_of_the_nth_query() -> None:
    rows = BLOCK_ROWS + 300
    whole, parts = noise(0.1, [rows]), noise(0.1, [7, BLOCK_ROWS - 9, 5, 297])
    assert (whole == parts).all()
    assert (noise(0.1, [4], "judge") != whole[:4]).all()
    assert len(np.unique(whole[:, 0])) == rows
