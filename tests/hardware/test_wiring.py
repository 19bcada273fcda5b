"""Lines of wiring: which ends they join, and what graph they make."""

import networkx as nx
import pytest
from helpers.topologies import description, kind, loaded
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware.collectives import COLLECTIVES, alone_s, simulated_s
from simulator.hardware.topology import ROUTED_BYTES
from simulator.hardware.wiring import Wires


@pytest.mark.parametrize(
    ("wires", "uppers"),
    [
        ({}, [0, 0, 0, 0, 0]),
        ({"group": 1}, [0, 1, 2, 3, 4]),
        ({"group": 2}, [0, 0, 1, 1, 2]),
        ({"group": 9}, [0, 0, 0, 0, 0]),
        ({"stride": 2}, [0, 1, 0, 1, 0]),
        ({"stride": 9}, [0, 1, 2, 3, 4]),
    ],
)
def test_who_is_joined_with_whom(wires, uppers):
    line = Wires(link="wire", each="nic", to="leaf", **wires)
    expected = [(f"nic{number}", f"leaf{upper}") for number, upper in enumerate(uppers)]
    assert list(line.ends(5)) == expected
    assert line.upper_count(5) == 1 + max(uppers)


def test_a_mesh_joins_all_of_a_group_and_what_is_left_over_among_itself():
    line = Wires(link="wire", each="gpu", mesh=3)
    assert list(line.ends(5)) == [
        ("gpu0", "gpu1"),
        ("gpu0", "gpu2"),
        ("gpu1", "gpu2"),
        ("gpu3", "gpu4"),
    ]


def test_two_lines_may_lead_to_one_kind_of_vertex():
    """Even and odd ways up: GPUs over a hub, and straight to the top."""
    links = {"near": kind(1.0), "far": kind(2.0)}
    wiring = [
        {"link": "near", "each": "gpu", "to": "hub", "group": 2},
        {"link": "far", "each": "hub", "to": "top"},
        {"link": "far", "each": "gpu", "to": "top"},
    ]
    topology = loaded(description(4, links, wiring))
    assert topology.graph.degree["top0"] == 6
    assert [len(topology.routes[0][to]) for to in (1, 2)] == [2, 2]


@st.composite
def topologies(draw):
    """Two levels of switches, perhaps bridges, of any speeds."""
    figures = st.tuples(st.floats(1e8, 1e12), st.floats(0, 1e-5), st.sampled_from(["full", "half"]))
    links = {name: kind(*draw(figures)) for name in ("low", "high")}
    spread = draw(st.sampled_from(["group", "stride"]))
    wiring = [
        {"link": "low", "each": "gpu", "to": "leaf", spread: draw(st.integers(1, 4))},
        {"link": "high", "each": "leaf", "to": "top", "width": draw(st.integers(1, 3))},
    ]
    if draw(st.booleans()):
        links["bridge"] = kind(*draw(figures))
        wiring.append({"link": "bridge", "each": "gpu", "mesh": draw(st.integers(2, 4))})
    gpus = draw(st.integers(2, 8))
    return loaded(description(gpus, links, wiring))


@settings(max_examples=60)
@given(topologies())
def test_routes_are_the_fastest_that_pass_through_no_other_gpu(topology):
    for sender in range(topology.gpus):
        for receiver in range(topology.gpus):
            if sender == receiver:
                continue
            others = {f"gpu{gpu}" for gpu in range(topology.gpus)} - {
                f"gpu{sender}",
                f"gpu{receiver}",
            }
            free = topology.graph.copy()
            free.remove_nodes_from(others)
            least_s = nx.shortest_path_length(
                free,
                f"gpu{sender}",
                f"gpu{receiver}",
                weight=lambda _, __, edge: edge["latency_s"] + ROUTED_BYTES / edge["bandwidth"],
            )
            route = topology.routes[sender][receiver]
            sent_s = sum(ROUTED_BYTES / topology.capacities[channel] for channel in route)
            assert topology.latency_s[sender, receiver] + sent_s == pytest.approx(least_s)
            narrowest = min(topology.capacities[channel] for channel in route)
            assert topology.bandwidth[sender, receiver] == narrowest


@settings(max_examples=40)
@given(topologies(), st.floats(1e3, 1e9))
def test_closed_forms_bound_collectives_on_any_topology(topology, size):
    """All of a step send alike, so no flow ends after the fullest channel is through.

    The closed form adds the longest latency to that, which another flow may have.
    """
    for algorithm in {way for ways in COLLECTIVES.values() for way in ways.values()}:
        steps = algorithm(topology, size)
        closed_s, seen_s = alone_s(topology, steps), simulated_s(topology, steps)
        latencies = sum(
            times * max(topology.latency_s[one, other] for one, other, _ in sent)
            for times, sent in steps
        )
        assert seen_s <= closed_s * (1 + 1e-6)
        assert seen_s >= max(closed_s - latencies, latencies) * (1 - 1e-6)
