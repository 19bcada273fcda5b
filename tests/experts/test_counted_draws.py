"""Loads drawn step by step: counted from the routes of the step, whatever its prompts."""

import numpy as np
import pytest

from simulator.experts.draws import WalkedLoads
from simulator.experts.loads import count_experts, rank_loads
from simulator.experts.placement import round_robin
from simulator.experts.pool import PoolWalk, RoutePool
from simulator.streams import Streams

EXPERTS, TOP_K, LAYERS = 12, 3, 2
STEPS = [(5, 1, 0), (7, 2, 30), (0, 1, 999), (3, 4, 2000), (1, 1, 1), (40, 1, 700), (2, 2, 0)]
"""Requests, query tokens, prompt tokens; prompts go around a pool of 700 tokens."""


def pool(sequences, tokens, seed):
    chosen = np.random.default_rng(seed).integers(0, EXPERTS, (LAYERS, sequences * tokens, TOP_K))
    return RoutePool(EXPERTS, chosen.astype(np.uint8), np.full(sequences, tokens))


def walk():
    return PoolWalk(pool(20, 10, 1), Streams(1), pool(7, 100, 2))


@pytest.mark.parametrize("parts", [1, 2])
def test_counts_are_those_of_the_routes(parts):
    routes, counted = walk(), walk()
    for step in STEPS:
        whole, *cut = counted.counts(*step, parts)
        assert (whole == count_experts(routes.step(*step), EXPERTS)).all()
        assert not cut if parts == 1 else (sum(cut) == whole).all()


def test_two_parts_have_half_of_the_requests_and_of_the_prompts():
    counted = walk()
    for requests, query_tokens, prompt_tokens in STEPS:
        _, *cut = counted.counts(requests, query_tokens, prompt_tokens, 2)
        tokens = [part[0].sum() / TOP_K for part in cut]
        assert tokens == [
            requests // 2 * query_tokens + prompt_tokens // 2,
            -(-requests // 2) * query_tokens + -(-prompt_tokens // 2),
        ]


def test_loads_are_those_of_the_ranks():
    placement = round_robin(EXPERTS, 4)
    routes, draws = walk(), WalkedLoads(walk(), placement)
    for step in STEPS:
        [found] = draws.draw(*step)
        expected = rank_loads(routes.step(*step), placement)
        assert all((one == other).all() for one, other in zip(found, expected, strict=True))
    assert draws.ranks == 4
    assert draws.passed(1.0) == 0.0
