"""Residency of experts in closed form against stores that are followed step by step."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.experts.config import LRU, PINNED
from simulator.experts.offload import ExpertStore, most_used
from simulator.experts.popularity import LAYERS, batch_exposure, overall_popularity
from simulator.experts.residency import chances_of, lru_misses, lru_resident, pinned_misses
from simulator.experts.sampling import (
    Archetype,
    copies_by_expert,
    measured_archetype,
    sample_routing,
)
from simulator.streams import Streams

EXPERTS = 64


def independent_steps(chances, steps, seed=0):
    """Steps of an independent reference model: every expert by itself, in random order."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        called = rng.random(chances.shape) < chances
        if called.any():
            yield rng.permutation(np.flatnonzero(called[0]))[None]


def followed(store, steps, skip=100):
    """Mean missing and distinct experts of a layer and step, once the store has warmed up."""
    loads = [store.step(chosen) for chosen in steps][skip:]
    return tuple(np.mean([getattr(one, key) for one in loads]) for key in ("missing", "distinct"))


@pytest.mark.parametrize(("distinct", "resident"), [(6, 8), (6, 16), (6, 40), (30, 16), (50, 32)])
def test_lru_follows_che_where_references_are_independent(distinct, resident):
    exposure = np.exp(1.5 * np.random.default_rng(1).standard_normal((1, EXPERTS)))
    chances = chances_of(exposure, distinct)
    store = ExpertStore(most_used(np.ones((1, EXPERTS)), resident), LRU)
    missing, called = followed(store, independent_steps(chances, 2000))
    assert called == pytest.approx(distinct, rel=0.02)
    assert missing == pytest.approx(float(lru_misses(chances, resident)), rel=0.03)


@pytest.mark.parametrize("resident", [8, 32])
def test_pinned_is_exact(resident):
    archetype = Archetype(experts=EXPERTS, top_k=4, popularity_sd=1.0)
    popularity = overall_popularity(archetype)
    assert pinned_misses(popularity, resident, distinct=4.0) == pytest.approx(
        popularity[resident:].sum()
    )
    store = ExpertStore(most_used(popularity[None], resident), PINNED)
    exact = pinned_misses(popularity, resident, distinct=20.0)
    chances = chances_of(-np.log1p(-popularity), 20.0)[None]
    missing, _ = followed(store, independent_steps(chances, 2000), skip=0)
    assert missing == pytest.approx(exact, rel=0.02)


@settings(max_examples=30)
@given(st.floats(1.0, 63.9), st.integers(1, EXPERTS))
def test_without_preferences_every_expert_is_missing_as_often(distinct, resident):
    chances = chances_of(np.ones((1, EXPERTS)), distinct)
    share = 1.0 - resident / EXPERTS
    assert lru_misses(chances, resident) == pytest.approx(distinct * share, abs=1e-5)
    flat = np.full(EXPERTS, 4 / EXPERTS)
    assert pinned_misses(flat, resident, distinct) == pytest.approx(distinct * share, abs=1e-5)


@settings(max_examples=15)
@given(st.integers(1, 3), st.floats(1.0, 60.0))
def test_more_residents_miss_less_and_all_miss_nothing(seed, distinct):
    exposure = np.exp(2.0 * np.random.default_rng(seed).standard_normal((1, EXPERTS)))
    chances = chances_of(exposure, distinct)
    assert chances.sum() == pytest.approx(distinct)
    missing = [float(lru_misses(chances, resident)) for resident in range(4, EXPERTS + 1, 12)]
    assert all(more > fewer - 1e-9 for more, fewer in pairwise(missing))
    assert missing[-1] == pytest.approx(0.0, abs=1e-3)
    assert lru_resident(chances, 16).sum() == pytest.approx(16, abs=1e-3)


@pytest.fixture(scope="module")
def qwen():
    """Qwen3-30B-A3B's archetype, and how 16 requests route over 320 tokens in two layers."""
    archetype = measured_archetype("qwen3_30b_a3b").archetype
    layers = [sample_routing(archetype, 16, 320, Streams(5), layer) for layer in range(2)]
    return archetype, np.stack(layers)


@pytest.mark.parametrize(
    ("requests", "tokens", "resident", "within"),
    [(1, 1, 32, 0.2), (1, 4, 32, 0.15), (4, 1, 64, 0.2), (4, 4, 64, 0.1), (16, 1, 64, 0.15)],
)
def test_expected_misses_are_near_those_of_sampled_routes(qwen, requests, tokens, resident, within):
    """What the closed form drops, that preferences drift, moves misses by less than a fifth."""
    archetype, routes = qwen
    steps = (
        routes[:, :requests, start : start + tokens].reshape(2, -1)
        for start in range(0, routes.shape[2], tokens)
    )
    store = ExpertStore(most_used(np.ones((2, archetype.experts)), resident), LRU)
    missing, distinct = followed(store, steps, skip=20)
    expected = lru_misses(chances_of(batch_exposure(archetype, requests), distinct), resident)
    assert missing == pytest.approx(float(expected), rel=within)
    # Without the preferences of requests nothing would be right.
    assert distinct * (1 - resident / archetype.experts) > 1.1 * missing


def test_overall_popularity_is_that_of_sampled_routes():
    archetype = Archetype(experts=32, top_k=4, popularity_sd=1.5, request_sd=1.0, token_sd=0.5)
    ranked = np.zeros(32)
    for layer in range(LAYERS):
        chosen = sample_routing(archetype, 1500, 1, Streams(2), layer)
        ranked += np.sort(copies_by_expert(chosen.reshape(1, -1, 4), 32)[0])[::-1] / 1500 / LAYERS
    popularity = overall_popularity(archetype)
    assert popularity.sum() == pytest.approx(4)
    assert popularity[:8].sum() == pytest.approx(ranked[:8].sum(), rel=0.05)
