"""Moving experts: what ranks fetch, how long it takes, and when it is done."""

import numpy as np
import pytest

from simulator.experts.load_aware import load_aware
from simulator.experts.loads import imbalance, rank_loads
from simulator.experts.placement import Placement, contiguous, round_robin
from simulator.experts.rebalancing import Rebalancing, moves, moving_s
from simulator.hardware.topology import load_topology

NODE = load_topology("nvswitch_h100")
LOADS = np.array([4.0, 4, 1, 1, 1, 1, 1, 2])


def test_ranks_fetch_what_they_lack_and_keep_what_they_hold():
    old, new = contiguous(6, 3), Placement(6, 3, np.array([[0, 1, 2], [2, 3, 0], [4, 5, 0]]))
    fetched = moves(old, new, layers=4)
    assert fetched.tolist() == [[0, 4, 4], [4, 0, 0], [0, 0, 0]]
    assert moves(new, new, layers=4).sum() == 0


def test_layers_are_told_apart_where_they_are_placed_apart():
    old = contiguous(4, 2)
    new = Placement(4, 2, np.stack([old.slots[0], round_robin(4, 2).slots[0]]))
    assert moves(old, new, layers=2).tolist() == [[0, 1], [1, 0]]


def test_an_expert_comes_from_the_own_island_and_from_who_has_sent_least():
    old = Placement(4, 4, np.array([[0, 1], [0, 2], [0, 3], [1, 2]]))
    new = Placement(4, 4, np.array([[0, 1], [0, 2], [0, 3], [0, 1]]))
    assert moves(old, new, layers=1, island_ranks=2)[2, 3] == 1
    ring = Placement(2, 4, np.array([[0], [0], [1], [1]]))
    turned = Placement(2, 4, np.array([[0, 1], [0, 1], [1, 0], [1, 0]]))
    assert moves(ring, turned, layers=1).sum(axis=1).tolist() == [1, 1, 1, 1]


def test_moving_takes_as_long_as_the_fullest_link():
    fetched = np.zeros((8, 8), int)
    fetched[0, 1:] = 3  # 21 experts leave GPU 0
    alone = moving_s(fetched, 9e6, NODE)
    assert alone == pytest.approx(21 * 9e6 / 450e9, rel=0.02)
    split = moving_s(fetched[:4, :4], 9e6, NODE, gpus_per_rank=2)
    assert split == pytest.approx(9 * 4.5e6 / 450e9, rel=0.05)
    assert moving_s(np.zeros((8, 8), int), 9e6, NODE) == 0.0


def rebalancing(placement, period_s):
    return Rebalancing(
        placement,
        period_s,
        redundant=0,
        groups=1,
        nodes=1,
        moving_s=lambda old, new: 0.001 * moves(old, new, layers=1).sum(),
    )


def test_once_a_period_experts_are_placed_by_what_was_seen():
    over = rebalancing(contiguous(8, 4), period_s=1.0)
    chosen = np.repeat(np.arange(8), LOADS.astype(int))[None]
    before = imbalance(rank_loads(chosen, over.placement).tokens)
    over.see(rank_loads(chosen, over.placement).expert_tokens)
    assert over.passed(0.6) == 0.0
    moved_s = over.passed(0.6)
    assert moved_s == over.moved_s > 0.0
    assert over.placement.slots.tolist() == load_aware(LOADS, 4).slots.tolist()
    assert imbalance(rank_loads(chosen, over.placement).tokens) < before
    assert over.passed(5.0) == 0.0  # nothing seen since
    over.see(rank_loads(chosen, over.placement).expert_tokens)
    assert over.passed(0.1) == 0.0  # as good a placement: nothing moves
    assert over.times == 2
