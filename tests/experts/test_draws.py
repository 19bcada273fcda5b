"""Loads of steps drawn from pooled routes, with experts that stay and that are placed anew."""

import numpy as np
import pytest

from simulator.experts.draws import WalkedLoads
from simulator.experts.load_aware import load_aware
from simulator.experts.loads import imbalance
from simulator.experts.placement import contiguous
from simulator.experts.rebalancing import Rebalancing
from simulator.experts.routes import Routes, sample_pool
from simulator.experts.sampling import Archetype
from simulator.streams import Streams


@pytest.fixture(scope="module")
def routes():
    """Strongly skewed routes through two layers."""
    archetype = Archetype(experts=8, top_k=2, popularity_sd=2.0)
    return Routes(*(sample_pool((archetype,), 2, 64, 16, seed=4) for _ in range(2)))


def slowest(draws, steps=20):
    loads = [draws.draw(12, 2, 0)[0].tokens for _ in range(steps)]
    return float(np.mean([imbalance(one) for one in loads]))


def test_experts_placed_anew_by_what_was_seen_even_out_what_comes(routes):
    first = contiguous(8, 4)
    rebalancing = Rebalancing(
        first, 1.0, redundant=4, groups=1, nodes=1, moving_s=lambda old, new: 0.25
    )
    draws = WalkedLoads(routes.walk(Streams(seed=2)), first, rebalancing)
    before = slowest(draws)
    assert draws.passed(0.5) == 0.0
    assert draws.passed(0.5) == 0.25
    assert slowest(draws) < 0.75 * before
    assert rebalancing.placement.replicas.sum() == 2 * 12


def test_experts_that_stay_cost_nothing(routes):
    placed = load_aware(np.ones(8), 4)
    draws = WalkedLoads(routes.walk(Streams(seed=2)), placed)
    assert draws.ranks == 4
    assert draws.passed(1e9) == 0.0


def test_parts_of_a_step_are_all_of_it(routes):
    whole, cut = (WalkedLoads(routes.walk(Streams(seed=2)), contiguous(8, 4)) for _ in range(2))
    (alone,), (all_of_it, *parts) = whole.draw(5, 2, 7), cut.draw(5, 2, 7, parts=2)
    assert len(parts) == 2
    for found in (all_of_it.expert_tokens, sum(part.expert_tokens for part in parts)):
        assert found.tolist() == alone.expert_tokens.tolist()
