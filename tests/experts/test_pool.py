"""Walks along routes: each request on a sequence of its own, moving on as tokens are consumed."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.experts.pool import PoolWalk, RoutePool
from simulator.streams import Streams

SEQUENCES, TOKENS = 6, 10


@pytest.fixture
def pool():
    """Routes in which every token names its sequence (layer 0) and its place in it (layer 1)."""
    sequence, place = np.divmod(np.arange(SEQUENCES * TOKENS), TOKENS)
    chosen = np.stack([sequence, place])[..., None].astype(np.uint8)
    return RoutePool(16, chosen, np.full(SEQUENCES, TOKENS))


def test_requests_walk_on_along_sequences_of_their_own(pool):
    walk = PoolWalk(pool, Streams(seed=1))
    sequence, place = walk.step(3, 2, 0, consumed=1).astype(int)
    assert len(set(sequence)) == 3
    assert (sequence[::2] == sequence[1::2]).all()
    assert (place[1::2] - place[::2] == 1).all()
    after, later = walk.step(3, 2, 0, consumed=1).astype(int)
    same = after == sequence
    assert same.any()
    assert (later[same] - place[same] == 1).all()
    assert (later[~same][::2] == 0).all()


def test_who_has_no_tokens_left_goes_to_a_sequence_that_no_other_is_on(pool):
    walk = PoolWalk(pool, Streams(seed=1))
    for _ in range(50):
        sequence = walk.step(3, 3, 0)[0]
        assert (sequence[::3] == sequence[2::3]).all()
        assert len(set(sequence[::3])) == 3


def test_a_mean_of_query_tokens_is_met_over_requests_and_steps(pool):
    walk = PoolWalk(pool, Streams(seed=1))
    steps = [walk.step(3, 1.5, 0) for _ in range(4)]
    assert [step.shape[1] for step in steps] == [4, 5, 4, 5]
    tokens = [np.bincount(step[0]).max() for step in steps]
    assert max(tokens) == 2
    whole, *parts = walk.counts(3, 1.5, 5, 2)
    assert [int(one[0].sum()) for one in (whole, *parts)] == [9, 1 + 2, 3 + 3]


def test_more_requests_than_sequences_share_them(pool):
    sequence = PoolWalk(pool, Streams(seed=1)).step(2 * SEQUENCES, 1, 0)[0]
    assert np.bincount(sequence, minlength=SEQUENCES).max() == 2


def test_prompt_tokens_begin_a_sequence_and_go_on_with_the_next(pool):
    walk = PoolWalk(pool, Streams(seed=1))
    first = walk.step(0, 1, 4)
    second = walk.step(2, 1, TOKENS + 3)[:, 2:]
    assert first[1].tolist() == [0, 1, 2, 3]
    assert second[1].tolist() == [*range(TOKENS), 0, 1, 2]
    assert (int(first[0][0]) + 1) % SEQUENCES == second[0][0]


def test_lengths_that_do_not_fill_the_routes_are_refused(pool):
    with pytest.raises(ConfigError, match="cannot fill routes of 60 tokens"):
        RoutePool(16, pool.chosen, np.array([59]))
