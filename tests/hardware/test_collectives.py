"""Collectives alone: textbook forms by hand, closed forms, and transfer by transfer."""

import math

import pytest
from helpers.topologies import slow_node

from simulator.errors import ConfigError
from simulator.hardware.collectives import COLLECTIVES, alone_s, fastest, simulated_s
from simulator.hardware.topology import load_topology, topology_names

SIZES = (4096, 10**6, 10**9)
MOST_GPUS = 72
"""Beyond, transfers by the ten thousand take seconds: some nodes stand for all."""


def small(name):
    """Rings of 72 are long: one size does."""
    return SIZES if load_topology(name).gpus < MOST_GPUS else SIZES[1:2]


def affordable(name):
    topology = load_topology(name)
    return topology if topology.gpus <= MOST_GPUS else topology.first(3 * topology.island_gpus)


@pytest.mark.parametrize("name", topology_names())
def test_closed_forms_are_what_the_links_do(name):
    """Every algorithm on every shipped topology, within a thousandth (asked for: 1 %)."""
    topology = affordable(name)
    algorithms = {way for ways in COLLECTIVES.values() for way in ways.values()}
    for algorithm in algorithms:
        for size in small(name):
            steps = algorithm(topology, size)
            if steps:
                assert simulated_s(topology, steps) == pytest.approx(
                    alone_s(topology, steps), rel=1e-3
                ), (algorithm.__name__, size)


def crossbar(n, alpha, rate):
    """Textbook times on a crossbar, by collective and algorithm, for m bytes."""

    def times(m):
        return {
            ("all_reduce", "one_shot"): alpha + (n - 1) * m / rate,
            ("all_reduce", "ring"): 2 * (n - 1) * (alpha + m / n / rate),
            ("all_reduce", "tree"): 2 * math.ceil(math.log2(n)) * (alpha + m / rate),
            ("all_gather", "one_shot"): alpha + (n - 1) / n * m / rate,
            ("all_gather", "ring"): (n - 1) * (alpha + m / n / rate),
            ("reduce_scatter", "ring"): (n - 1) * (alpha + m / n / rate),
            ("all_to_all", "one_shot"): alpha + (n - 1) / n * m / rate,
        }

    return times


def in_nodes(within, across, latency, fastest_route):
    """Textbook times on 4 nodes of 8 with a card of ``across`` bytes/s for every GPU."""

    def times(m):
        inside, between = 0.6e-6, fastest_route
        return {
            ("all_reduce", "one_shot"): latency + 24 * m / across,
            ("all_reduce", "ring"): 62 * (latency + m / 32 / 50e9),
            ("all_reduce", "hierarchical"): 14 * (inside + m / 8 / within)
            + 6 * (between + m / 32 / 50e9),
            ("all_gather", "hierarchical"): 3 * (between + m / 32 / 50e9)
            + 7 * (inside + m / 8 / within),
            ("reduce_scatter", "hierarchical"): 3 * (between + m / 32 / 50e9)
            + 7 * (inside + m / 8 / within),
            ("all_to_all", "one_shot"): latency + 24 / 32 * m / across,
            ("all_to_all", "hierarchical"): between + inside + 3 / 4 * m / across,
        }

    return times


def host(upi):
    """Two sockets of four GPUs; all that crosses shares the one way between them."""

    def times(m):
        return {
            ("all_reduce", "one_shot"): 2.5e-6 + 16 * m / min(upi, 31.5e9),
            ("all_reduce", "ring"): 14 * (2.5e-6 + m / 8 / 31.5e9),
            ("all_to_all", "one_shot"): 2.5e-6 + 16 / 8 * m / min(upi, 31.5e9),
            ("all_reduce", "tree"): 4 * (1e-6 + m / 31.5e9) + 2 * (2.5e-6 + m / 31.5e9),
        }

    return times


TEXTBOOK = {
    "pcie_host": host(67.2e9),
    "nvswitch_a100": crossbar(8, 0.6e-6, 300e9),
    "nvswitch_a800": crossbar(8, 0.6e-6, 200e9),
    "nvswitch_h100": crossbar(8, 0.6e-6, 450e9),
    "nvswitch_h800": crossbar(8, 0.6e-6, 200e9),
    "nvswitch_b200": crossbar(8, 0.6e-6, 900e9),
    "nvl72": crossbar(72, 0.6e-6, 900e9),
    # Cards are the narrowest; of the trunks only at 2:1 below: 8 GPUs share 4 ports of 50 GB/s.
    "rails_infiniband_h100": in_nodes(450e9, 50e9, 3.1e-6, 2.7e-6),
    "rails_roce_h800": in_nodes(200e9, 50e9, 3.9e-6, 2.7e-6),
    "fat_tree_infiniband_h100": in_nodes(450e9, 50e9, 3.1e-6, 3.1e-6),
}


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("size", SIZES)
def test_textbook_times(name, size):
    topology = load_topology(name)
    for (collective, algorithm), expected_s in TEXTBOOK[name](size).items():
        steps = COLLECTIVES[collective][algorithm](topology, size)
        assert alone_s(topology, steps) == pytest.approx(expected_s, rel=0.01), algorithm


@pytest.mark.parametrize("size", SIZES)
def test_a_fat_tree_of_two_to_one_halves_what_leaves_a_node(size):
    """24 of 32 shares of every GPU leave its node: 8 GPUs over a trunk of 200 GB/s."""
    topology = load_topology("fat_tree_roce_h800")
    alone = alone_s(topology, COLLECTIVES["all_to_all"]["one_shot"](topology, size))
    assert alone == pytest.approx(3.9e-6 + 24 / 32 * size * 8 / 200e9, rel=0.01)
    steps = COLLECTIVES["all_reduce"]["hierarchical"](topology, size)
    expected = 14 * (0.6e-6 + size / 8 / 200e9) + 6 * (3.9e-6 + size / 32 / 25e9)
    assert alone_s(topology, steps) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("name", "bridge", "pcie"),
    [
        ("nvlink_pairs_a100", 300e9, 31.5e9),
        ("nvlink_pairs_a800", 200e9, 31.5e9),
        ("nvlink_pairs_h100", 300e9, 63e9),
        ("nvlink_pairs_h800", 200e9, 63e9),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_pairs(name, bridge, pcie, size):
    """Rings of four pairs: two of them go over the one PCIe link of a socket at once."""
    topology = load_topology(name)
    steps = COLLECTIVES["all_reduce"]["hierarchical"](topology, size)
    between_s = max(2.5e-6 + size / 8 / (pcie / 2), 2.5e-6 + 2 * size / 8 / 67.2e9)
    expected = 2 * (0.6e-6 + size / 2 / bridge) + 6 * between_s
    assert alone_s(topology, steps) == pytest.approx(expected, rel=0.01)


def test_a_reduction_reaches_everyone():
    """Follow who has whose part: after the tree each has all."""
    topology = slow_node(7)
    known = [{gpu} for gpu in range(7)]
    for _, sent in COLLECTIVES["all_reduce"]["tree"](topology, 1.0):
        before = [set(parts) for parts in known]
        for sender, receiver, _ in sent:
            known[receiver] |= before[sender]
    assert all(parts == set(range(7)) for parts in known)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_bytes_sent_are_those_of_the_textbook(collective):
    topology, n = load_topology("rails_infiniband_h100"), 32
    for name, algorithm in COLLECTIVES[collective].items():
        sent = sum(
            times * sum(one.size_bytes for one in step) for times, step in algorithm(topology, 1.0)
        )
        every = n - 1.0 if collective != "all_reduce" else 2 * (n - 1.0)
        special = {
            ("all_reduce", "one_shot"): n * (n - 1.0),
            # 3/4 over the rails, and 7/8 within nodes, whether it has come over a rail or not.
            ("all_to_all", "hierarchical"): n * (3 / 4 + 7 / 8),
        }
        assert sent == pytest.approx(special.get((collective, name), every)), name


def test_the_fastest_is_the_least():
    topology = load_topology("nvl72")
    assert fastest(topology, "all_reduce", 64).algorithm == "one_shot"
    assert fastest(topology, "all_reduce", 2**30).algorithm == "ring"
    for size in SIZES:
        times = [
            alone_s(topology, steps)
            for algorithm in COLLECTIVES["all_reduce"].values()
            if (steps := algorithm(topology, size))
        ]
        assert fastest(topology, "all_reduce", size).seconds == pytest.approx(min(times))


def test_one_island_has_no_hierarchy():
    assert COLLECTIVES["all_reduce"]["hierarchical"](load_topology("nvl72"), 1.0) == []


def test_refused():
    with pytest.raises(ConfigError, match="Did you mean 'all_reduce'"):
        fastest(slow_node(), "allreduce", 1.0)
    with pytest.raises(ConfigError, match="has one GPU"):
        fastest(slow_node(1), "all_reduce", 1.0)
