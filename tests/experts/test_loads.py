"""Loads of the ranks against counting one copy at a time."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.experts.loads import imbalance, rank_loads
from simulator.experts.placement import EMPTY, Placement, contiguous, round_robin

EXPERTS, RANKS, TOP_K, LAYERS, TOKENS = 6, 3, 2, 4, 15
REPLICATED = Placement(
    EXPERTS,
    RANKS,
    np.array([[[0, 1, 2], [0, 3, EMPTY], [0, 4, 5]]] * 3 + [[[0, 1, 2], [3, 4, 5], [0, 4, EMPTY]]]),
)
PLACEMENTS = [contiguous(EXPERTS, RANKS), round_robin(EXPERTS, RANKS), REPLICATED]


def drawn():
    rng = np.random.default_rng(4)
    picks = [rng.permuted(np.arange(EXPERTS))[:TOP_K] for _ in range(LAYERS * TOKENS)]
    return np.array(picks, np.uint8).reshape(LAYERS, TOKENS * TOP_K), rng.integers(
        RANKS, size=TOKENS
    )


def counted(chosen, placement, sources):
    """Loads by going through all copies, with the holders of every expert at hand."""
    tokens, sent, received = (np.zeros((LAYERS, RANKS)) for _ in range(3))
    for layer in range(LAYERS):
        slots = placement.slots[layer if placement.layers > 1 else 0]
        for copy, expert in enumerate(chosen[layer]):
            holders = [rank for rank in range(RANKS) if expert in slots[rank]]
            for rank in holders:
                share = 1 / len(holders)
                tokens[layer, rank] += share
                if rank != sources[copy // TOP_K]:
                    received[layer, rank] += share
                    sent[layer, sources[copy // TOP_K]] += share
    return tokens, sent, received


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_loads_are_those_of_counting_every_copy(placement):
    chosen, sources = drawn()
    loads = rank_loads(chosen, placement, sources)
    tokens, sent, received = counted(chosen, placement, sources)
    assert loads.tokens == pytest.approx(tokens)
    assert loads.sent == pytest.approx(sent)
    assert loads.received == pytest.approx(received)
    assert loads.expert_tokens.sum(axis=-1).tolist() == [TOKENS * TOP_K] * LAYERS


def test_active_experts_are_those_with_tokens_and_replicas_wait_for_theirs():
    chosen = np.array([[0, 1, 0, 3]] * LAYERS)
    assert rank_loads(chosen, PLACEMENTS[0]).active[0].tolist() == [2, 1, 0]
    assert rank_loads(chosen, REPLICATED).active[0].tolist() == [2, 2, 0]  # two copies of expert 0


def test_tokens_that_live_everywhere_send_what_is_held_elsewhere():
    chosen, _ = drawn()
    loads = rank_loads(chosen, PLACEMENTS[0])
    everywhere = np.mean(
        [
            rank_loads(chosen, PLACEMENTS[0], np.full(TOKENS, rank)).sent.sum()
            for rank in range(RANKS)
        ]
    )
    assert loads.sent.sum() == pytest.approx(everywhere)
    assert loads.sent.sum() == pytest.approx(loads.received.sum())


def test_the_slowest_rank_is_told_over_the_mean():
    assert imbalance(np.array([[4.0, 1.0, 1.0]])).tolist() == [2.0]


def test_a_placement_of_other_layers_is_refused():
    with pytest.raises(ConfigError, match="has 4 layers, but the routes have 2"):
        rank_loads(drawn()[0][:2], REPLICATED)
