"""Placements: what each rank holds, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experts.placement import EMPTY, Placement, contiguous, round_robin

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda s: s[1] <= s[0])


@pytest.mark.parametrize("place", [contiguous, round_robin])
@given(shapes)
def test_every_expert_lies_on_one_rank_and_ranks_differ_by_one(place, shape):
    placed = place(*shape)
    held = placed.slots[placed.slots != EMPTY]
    assert np.sort(held).tolist() == list(range(shape[0]))
    per_rank = (placed.slots != EMPTY).sum(axis=-1)
    assert per_rank.max() - per_rank.min() <= 1
    assert placed.shares.sum(axis=1) == pytest.approx(np.ones((1, shape[0])))


def test_replicas_share_tokens_evenly_and_are_told_apart():
    placed = Placement(3, 3, np.array([[[0, 1], [0, 2], [0, EMPTY]]]))
    assert placed.replicas.tolist() == [[3, 1, 1]]
    assert placed.weights[0].tolist() == [[1 / 3, 1], [1 / 3, 1], [1 / 3, 0]]
    assert placed.orders[0, :, 0].tolist() == [0, 1, 2]
    assert placed.shares[0, 2].tolist() == [1 / 3, 0, 0]


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([[0, 1], [2, 2]], r"misses 1 of 4 experts \(3\)"),
        ([[0, 0], [1, 2], [3, 1]], "puts expert 0 on rank 0 more than once"),
        ([[0, 1], [2, 4]], "names expert 4; experts are 0 to 3"),
        ([0, 1, 2, 3], "needs a table of slots"),
    ],
)
def test_impossible_placements_are_refused(slots, message):
    with pytest.raises(ConfigError, match=message):
        Placement(4, len(slots) if np.ndim(slots) == 2 else 2, np.array(slots))


@pytest.mark.parametrize("place", [contiguous, round_robin])
def test_more_ranks_than_experts_are_refused_with_the_remedy(place):
    with pytest.raises(ConfigError, match=r"at most 4 ranks, or .*experts.redundant=2 or more"):
        place(4, 6)
