"""Placements side by side, against going through all copies one by one."""

from collections import Counter
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.experts.routes import Routes, sample_pool
from simulator.experts.sampling import Archetype
from simulator.hardware.topology import load_topology
from simulator.models.catalog import load_architecture
from simulator.streams import Streams
from simulator.study.routing import placements as comparison
from simulator.study.routing.placements import Batch, compare_placements, placements_of

ARCH = replace(load_architecture("mixtral_8x7b"), layers=3)
BATCH = Batch(requests=12, query_tokens=2)
NODE = load_topology("nvswitch_h100")


@pytest.fixture(scope="module")
def skewed():
    """Placements of eight experts on four ranks under strong skew, and routes to judge them on."""
    pool = sample_pool((Archetype(experts=8, top_k=2, popularity_sd=2.0),), 3, 64, 16, seed=4)
    return placements_of(ARCH, Routes(pool, pool), 4, (0, 4))


@pytest.fixture
def compared(skewed, monkeypatch):
    """Both judged on few steps."""
    monkeypatch.setattr(comparison, "_STEPS", 10)
    placed, judged = skewed
    return compare_placements(ARCH, placed, judged, BATCH, NODE), judged


def counted(placement, judged, steps=10):
    """Slowest over mean of every layer and step, by dealing out copies one at a time."""
    walk = judged.walk(Streams(seed=1))
    factors = []
    for _ in range(steps):
        for layer, experts in enumerate(walk.step(*BATCH, 0).tolist()):
            slots = placement.slots[layer % placement.layers].tolist()
            loads = Counter()
            for expert in experts:
                holders = [rank for rank in range(4) if expert in slots[rank]]
                for rank in holders:
                    loads[rank] += 1 / len(holders)
            factors.append(max(loads.values()) * 4 / len(experts))
    return fmean(factors)


def test_replicas_cut_the_slowest_rank_by_what_a_direct_count_gives(compared):
    found, judged = compared
    by_name = {one.name: one for one in found}
    direct = {name: counted(one.placement, judged) for name, one in by_name.items()}
    for name, one in by_name.items():
        assert one.steps[0] == pytest.approx(direct[name])
    assert direct["load_aware + 4"] < 0.9 * direct["load_aware"] < 0.9 * direct["contiguous"]


def test_popularity_alone_is_that_of_all_tokens_together(compared):
    found, judged = compared
    layers = judged.decode.chosen.reshape(3, -1)
    for one in found:
        factors = [
            max(np.bincount(layer, minlength=8) @ one.placement.shares[at % one.placement.layers].T)
            * 4
            / len(layer)
            for at, layer in enumerate(layers)
        ]
        assert one.popularity[0] == pytest.approx(fmean(factors))
        assert one.popularity.mean() == pytest.approx(1.0)


def test_what_stays_is_not_moved(compared):
    contiguous, *others = compared[0]
    assert contiguous.moved_bytes == contiguous.moving_s == 0.0
    assert all(one.moving_s > 0 for one in others)


def test_experts_are_not_judged_on_the_requests_they_were_placed_by(skewed):
    assert len(skewed[1].decode.lengths) == 32


def test_one_sequence_is_too_few():
    pool = sample_pool((Archetype(experts=8, top_k=2),), 3, 1, 40, seed=4)
    with pytest.raises(ConfigError, match="record two or more"):
        placements_of(ARCH, Routes(pool, pool), 4, (0,))
