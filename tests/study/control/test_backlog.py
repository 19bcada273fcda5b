"""Birth-death backlogs: their long run in closed form, and buckets of them."""

import numpy as np
import pytest

from simulator.speculation.control.pomdp import stationary
from simulator.study.control.backlog import Lumping, bucket_of, moves


def test_the_long_run_is_that_of_a_queue_with_one_server():
    """M/M/1/N: shares fall by lambda / mu."""
    moved = moves(0.7, np.full(10, 1.0), 5.0)
    geometric = 0.7 ** np.arange(11)
    assert stationary(moved) == pytest.approx(geometric / geometric.sum())


def test_moves_over_two_intervals_are_those_over_one_twice_as_long():
    leaving = np.linspace(0.5, 2.0, 6)
    once = moves(1.0, leaving, 0.7)
    assert once @ once == pytest.approx(moves(1.0, leaving, 1.4))
    assert once.sum(axis=1) == pytest.approx(np.ones(7))


def test_little_time_moves_little_and_faster_service_leaves_less():
    leaving = np.full(6, 1.0)
    assert moves(1.0, leaving, 1e-9) == pytest.approx(np.eye(7), abs=1e-8)
    fast, slow = (moves(1.0, rate * leaving, 3.0) @ np.arange(7) for rate in (2.0, 1.0))
    assert (fast < slow).all()


def test_buckets_end_at_their_edges():
    assert bucket_of(np.arange(6), (1, 3)).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_chain_whose_buckets_are_alike_is_lumped_exactly():
    """Numbers of a bucket go to the next bucket with equal chances: the spread does not matter."""
    blocks = np.array([[0.7, 0.3], [0.2, 0.8]])
    moved = np.kron(blocks, np.full((2, 2), 0.5))[None, None, None]
    weights = np.array([0.1, 0.4, 0.3, 0.2])[None, None]
    assert Lumping(weights, (1,)).chain(moved)[0, 0] == pytest.approx(blocks)


def test_levels_of_the_load_count_by_how_often_they_are_in_the_bucket():
    still, away = np.eye(2), np.array([[0.0, 1.0], [0.0, 1.0]])
    moved = np.stack([still, away])[:, None, None]
    weights = np.array([[[0.3, 0.2]], [[0.1, 0.4]]])
    assert Lumping(weights, (0,)).chain(moved)[0, 0, 0] == pytest.approx([0.75, 0.25])
