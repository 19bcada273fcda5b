"""Loads of ranks against enumeration, sampled routing, logs and limits."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experts.imbalance import (
    EXACT_COPIES,
    slowest_rank_experts,
    slowest_rank_share,
)
from simulator.experts.laws import distinct_experts

GROUPS = [
    (8, 1, 2),
    (8, 2, 8),
    (8, 4, 16),
    (16, 10, 4),
    (60, 4, 4),
    (60, 4, 8),
    (64, 8, 3),
    (128, 8, 16),
    (256, 8, 8),
    (512, 10, 16),
    (512, 1, 16),
]
"""Experts, experts per token, ranks; some do not divide, one has more ranks than experts."""

TOKENS = (1, 2, 3, 4, 6, 10, 25, 33, 64, 300, 1000, 4096)
LIMIT = 4096

groups = st.tuples(st.integers(1, 160), st.integers(1, 10), st.integers(1, 20)).filter(
    lambda group: group[1] <= group[0]
)


def enumerated(tokens, top_k, experts, ranks):
    """Mean of the largest copies and of the largest distinct experts, over all routings."""
    rank_of = np.repeat(
        np.arange(ranks), [len(block) for block in np.array_split(np.arange(experts), ranks)]
    )
    copies, distinct = [], []
    for routing in product(combinations(range(experts), top_k), repeat=tokens):
        picked = np.array(routing).ravel()
        copies.append(np.bincount(rank_of[picked]).max())
        distinct.append(np.bincount(rank_of[np.unique(picked)]).max())
    return np.mean(copies), np.mean(distinct)


def sampled_share(tokens, top_k, experts, ranks):
    """Mean share of the slowest rank; the sampling error is below 0.3 %."""
    rng = np.random.default_rng([tokens, top_k, experts, ranks])
    repeats = max(100, 400_000 // (tokens + 20))
    sizes = [len(block) for block in np.array_split(np.arange(experts), ranks)]
    copies = np.zeros((repeats, ranks), int)
    for start in range(0, tokens, 64):  # in chunks: a step of 4096 tokens would fill the memory
        shape = (repeats, min(64, tokens - start))
        copies += rng.multivariate_hypergeometric(sizes, top_k, shape, "marginals").sum(axis=1)
    return copies.max(axis=1).mean() * ranks / (tokens * top_k)


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_slowest_share_is_that_of_sampled_loads(group):
    experts, top_k, ranks = group
    for tokens in TOKENS:
        share = slowest_rank_share(tokens, top_k, experts, ranks)
        sampled = sampled_share(tokens, top_k, experts, ranks)
        assert share == pytest.approx(sampled, rel=0.01), tokens


@pytest.mark.parametrize("group", [(6, 2, 3), (7, 2, 3), (5, 3, 2), (4, 1, 2), (8, 2, 8)], ids=str)
@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_loads_are_those_of_all_routings(group, tokens):
    experts, top_k, ranks = group
    copies, distinct = enumerated(tokens, top_k, experts, ranks)
    share = slowest_rank_share(tokens, top_k, experts, ranks)
    exact = tokens <= 2 or top_k == 1
    load = share * tokens * top_k / ranks
    assert load == pytest.approx(copies, rel=1e-9 if exact else 0.01)
    assert slowest_rank_experts(tokens, top_k, experts, ranks) == pytest.approx(distinct, rel=1e-9)


@pytest.mark.parametrize(("ranks", "least", "most"), [(4, 1.20, 1.23), (6, 1.30, 1.35)])
def test_the_slowest_share_is_that_of_routing_logs(ranks, least, most):
    # Qwen1.5-MoE on GSM8K, 25 requests that decode, by layer (vLLM-MoE-Logger traces).
    assert least <= round(slowest_rank_share(25, 4, 60, ranks), 2) <= most


@given(groups, st.floats(0.01, LIMIT), st.floats(1.0, 3.0))
def test_more_tokens_even_out_and_never_lighten_the_slowest_rank(group, tokens, growth):
    experts, top_k, ranks = group
    few, many = (slowest_rank_share(t, top_k, experts, ranks) for t in (tokens, tokens * growth))
    assert 1.0 <= many <= few * 1.001 + 1e-9  # the two ways of counting meet within 0.1 %
    assert few <= ranks + 1e-9
    assert few * tokens <= many * tokens * growth * (1 + 1e-9)


@given(groups, st.floats(0.0, LIMIT), st.floats(0.0, 100.0))
def test_the_busiest_rank_holds_at_least_the_mean_and_at_most_its_experts(group, tokens, more):
    experts, top_k, ranks = group
    few, many = (slowest_rank_experts(t, top_k, experts, ranks) for t in (tokens, tokens + more))
    active = distinct_experts(experts, top_k, tokens)
    assert active / ranks - 1e-9 <= few <= min(active, math.ceil(experts / ranks)) + 1e-4
    assert few <= many + 1e-9


@given(groups.map(lambda group: group[:2]), st.floats(0.0, LIMIT))
def test_a_single_rank_takes_everything(shape, tokens):
    experts, top_k = shape
    assert slowest_rank_share(tokens, top_k, experts, ranks=1) == pytest.approx(1.0)
    assert slowest_rank_experts(tokens, top_k, experts, ranks=1) == pytest.approx(
        distinct_experts(experts, top_k, tokens), abs=1e-3
    )


@pytest.mark.parametrize(("experts", "ranks", "limit"), [(64, 8, 1.0), (60, 8, 8 * 8 / 60)])
def test_ever_more_tokens_leave_the_uneven_blocks_alone(experts, ranks, limit):
    assert slowest_rank_share(1e9, 4, experts, ranks) == pytest.approx(limit, rel=1e-3)
    assert slowest_rank_experts(1e9, 4, experts, ranks) == math.ceil(experts / ranks)


def test_the_ways_of_counting_meet():
    for top_k in (1, 8):
        last = EXACT_COPIES // top_k
        exact, independent, next_one = (
            slowest_rank_share(tokens, top_k, 64, 8) for tokens in (last, last + 1e-9, last + 1)
        )
        assert independent == pytest.approx(exact, rel=1e-3)
        assert next_one < exact


def test_tokens_that_pick_every_expert_load_all_alike():
    assert slowest_rank_share(7, 8, 8, 4) == 1.0
    assert slowest_rank_experts(1, 8, 8, 4) == 2.0


def test_less_than_one_token_is_a_chance_of_one():
    assert slowest_rank_share(0.3, 2, 8, 4) == slowest_rank_share(1, 2, 8, 4)
    assert slowest_rank_share(0, 2, 8, 4) == slowest_rank_share(1, 2, 8, 4)
    assert slowest_rank_experts(0, 2, 8, 4) == 0.0


@pytest.mark.parametrize("loads", [slowest_rank_share, slowest_rank_experts])
@pytest.mark.parametrize("counts", [(-1, 2, 8, 4), (1, 0, 8, 4), (1, 9, 8, 4), (1, 2, 8, 0)])
def test_impossible_counts_are_refused(loads, counts):
    with pytest.raises(ConfigError, match="expert loads need tokens >= 0"):
        loads(*counts)
