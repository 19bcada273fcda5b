"""Exchanges of experts' tokens: by hand, drawn at random, and transfer by transfer."""

import itertools
from math import comb

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.hardware.collectives import alone_s, simulated_s
from simulator.hardware.exchange import (
    HIGH_THROUGHPUT,
    KINDS,
    LOW_LATENCY,
    Exchange,
    combine_steps,
    dispatch_steps,
    exchange_line,
)
from simulator.hardware.topology import load_topology

RAILS = load_topology("rails_infiniband_h100")
BYTES = 128 * 7168 * 1.03125


def over_nodes(kind, nodes, gpus=None):
    return Exchange(kind, gpus or 8 * nodes, nodes, top_k=8, experts=256)


def test_a_gpu_gets_a_token_once_however_many_of_its_experts_it_has():
    """All 70 choices of 4 of 8 experts, two on a GPU, four on a node."""
    exchange = Exchange(HIGH_THROUGHPUT, 4, 2, top_k=4, experts=8)
    chosen = list(itertools.combinations(range(8), 4))
    assert len(chosen) == comb(8, 4)
    to_gpu = np.mean([any(expert // 2 == 0 for expert in one) for one in chosen])
    to_node = np.mean([any(expert // 4 == 0 for expert in one) for one in chosen])
    assert exchange.copies_to_gpu == pytest.approx(to_gpu)
    assert exchange.copies_to_node == pytest.approx(to_node)
    assert exchange.copies == pytest.approx(to_node)


def test_straight_copies_are_as_many_as_experts():
    exchange = over_nodes(LOW_LATENCY, 4)
    assert exchange.copies_to_gpu * exchange.gpus == 8
    assert exchange.copies == 8 * 3 / 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nodes", [1, 2])
def test_the_line_is_what_the_links_do(kind, nodes):
    exchange = over_nodes(kind, nodes)
    part = RAILS.first(exchange.gpus)
    line = exchange_line(RAILS, exchange)
    for size_bytes in (0.0, 1e3, BYTES):
        for steps in (dispatch_steps, combine_steps):
            made = steps(part, exchange, size_bytes)
            assert alone_s(part, made) == pytest.approx(line.at(size_bytes), rel=1e-9)
            assert simulated_s(part, made) == pytest.approx(line.at(size_bytes), rel=1e-6)


def test_by_hand_over_cards_of_50_gb_a_second():
    """Four nodes: six of eight straight copies leave; or one for each other node with an expert."""
    straight = exchange_line(RAILS, over_nodes(LOW_LATENCY, 4))
    assert straight.at(BYTES) == pytest.approx(3.1e-6 + 6 * BYTES / 50e9)
    once = over_nodes(HIGH_THROUGHPUT, 4)
    by_rail = exchange_line(RAILS, once)
    missed = np.prod([(192 - i) / (256 - i) for i in range(8)])
    assert by_rail.at(BYTES) == pytest.approx(2.7e-6 + 0.6e-6 + 3 * (1 - missed) * BYTES / 50e9)


def test_a_combine_sends_back_what_came():
    exchange = over_nodes(HIGH_THROUGHPUT, 2)
    part = RAILS.first(16)
    there = [one for step in dispatch_steps(part, exchange, 1.0) for one in step.sent]
    back = [one for step in combine_steps(part, exchange, 1.0) for one in step.sent]
    turned = [(receiver, sender, size) for sender, receiver, size in back]
    assert sorted(map(tuple, there)) == sorted(turned)


def test_one_gpu_sends_nothing():
    alone = Exchange(LOW_LATENCY, 1, 1, 8, 256)
    assert exchange_line(RAILS, alone).at(1e9) == 0.0


REFUSED = [
    ({"kind": "deepep_low_latncy"}, "Did you mean 'deepep_low_latency'"),
    ({"gpus": 12, "nodes": 5}, "12 GPUs do not fill 5 nodes"),
    ({"top_k": 9, "experts": 8}, r"top_k=9 is not in 1\.\.8"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_refused(changes, message):
    usual = {"kind": LOW_LATENCY, "gpus": 16, "nodes": 2, "top_k": 8, "experts": 256}
    with pytest.raises(ConfigError, match=message):
        Exchange(**usual | changes)


def test_nodes_that_the_topology_has_otherwise_are_refused():
    with pytest.raises(ConfigError, match=r"16 GPUs in 4 nodes does not fit 16 GPUs .* are 2"):
        exchange_line(RAILS, over_nodes(LOW_LATENCY, 4, gpus=16))


def test_part_of_a_topology():
    with pytest.raises(ConfigError, match="has 32 GPUs, 33 are asked for; name a larger"):
        RAILS.first(33)
    with pytest.raises(ConfigError, match="12 GPUs leave an island of 8 half empty"):
        RAILS.first(12)
    assert RAILS.first(16) is RAILS.first(16)
