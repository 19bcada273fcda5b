"""Topologies as data: what ships is whole, and what makes no sense is refused with the remedy."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import yaml
from helpers.topologies import description, figure, kind, loaded, slow_node

from simulator.errors import ConfigError, TableError
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology, topology_names

SHIPPED = topology_names()
HUB = [{"link": "wire", "each": "gpu", "to": "hub"}]
WIRE = {"wire": kind(1.0)}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_pair_has_a_route_and_every_figure_a_source(name):
    topology = load_topology(name)
    others = ~np.eye(topology.gpus, dtype=bool)
    assert (topology.latency_s[others] > 0).all()
    assert np.isfinite(topology.bandwidth[others]).all()
    assert (topology.latency_s == topology.latency_s.T).all()
    assert all(topology.routes[gpu][gpu] == () for gpu in range(topology.gpus))
    assert all(figure.source and figure.kind for figure in topology.provenance.values())
    assert topology.wiring_source
    assert topology.gpus % topology.island_gpus == 0


@pytest.mark.parametrize("name", SHIPPED)
def test_routes_are_connected_and_go_through_no_other_gpu(name):
    topology = load_topology(name)
    ends = {}
    for one, other, edge in topology.graph.edges(data=True):
        ends[edge["channels"][0]], ends[edge["channels"][1]] = (one, other), (other, one)
    for sender, receiver in ((0, 1), (0, topology.gpus - 1), (topology.gpus - 1, 1)):
        hops = [ends[channel] for channel in topology.routes[sender][receiver]]
        assert (hops[0][0], hops[-1][1]) == (f"gpu{sender}", f"gpu{receiver}")
        for before, after in pairwise(hops):
            assert before[1] == after[0]
            assert not before[1].startswith("gpu")


@pytest.mark.parametrize("gpu", ["a100", "a800", "h100", "h800", "b200"])
def test_nvlink_is_that_of_the_gpu(gpu):
    """Specifications state both directions, links one."""
    both = load_gpu(f"{gpu}_sxm").nvlink_bandwidth
    assert load_topology(f"nvswitch_{gpu}").bandwidth[0, 7] == pytest.approx(both / 2)


def test_the_cut_ones_are_cut():
    for one, cut in (("a100", "a800"), ("h100", "h800")):
        whole = load_topology(f"nvlink_pairs_{one}").bandwidth[0, 1]
        assert load_topology(f"nvlink_pairs_{cut}").bandwidth[0, 1] == pytest.approx(2 / 3 * whole)


def test_pairs_go_over_their_bridge_and_others_over_pcie():
    topology = load_topology("nvlink_pairs_a100")
    kinds = {link.name: link.kind for link in topology.links.values()}
    assert kinds["gpu0-gpu1"] == "nvlink"
    assert [len(topology.routes[0][to]) for to in (1, 2, 4)] == [1, 2, 5]
    assert topology.bandwidth[0, 4] == 31.5e9


def test_a_rail_joins_cards_of_one_place_without_the_spine():
    topology = load_topology("rails_infiniband_h100")
    assert [len(topology.routes[0][to]) for to in (1, 8, 9)] == [2, 4, 6]
    assert topology.bandwidth[0, 8] == 50e9


def test_a_topology_can_be_sent_to_a_worker():
    topology = load_topology("nvl72")
    copy = pickle.loads(pickle.dumps(topology))
    assert copy.routes == topology.routes


def test_half_duplex_is_one_channel():
    assert len(slow_node(duplex="half").capacities) == 4
    assert len(slow_node(duplex="full").capacities) == 8


def test_width_adds_up():
    wiring = [HUB[0] | {"width": 3}]
    assert loaded(description(2, {"wire": kind(2.0)}, wiring)).bandwidth[0, 1] == 6.0


def test_a_link_is_known_by_its_ends_in_either_order():
    topology = slow_node()
    assert topology.link("hub0-gpu1", "here") is topology.link("gpu1-hub0", "here")
    with pytest.raises(ConfigError, match=r"'gpu1-hub1' in here \(test rig\). Did you mean"):
        topology.link("gpu1-hub1", "here")


def test_paths_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(description(3, WIRE, HUB)))
    assert load_topology(str(path)).gpus == 3
    with pytest.raises(TableError, match=r"Did you mean .*mine\.yaml"):
        load_topology(str(tmp_path / "mime.yaml"))


def test_names_that_are_none():
    with pytest.raises(TableError, match="Did you mean 'nvl72'"):
        load_topology("nvl27")


def changed(**entries):
    return description(2, WIRE, HUB) | entries


REFUSED = [
    (changed(gpus=figure(2.5)), r"gpus is 2\.5; it must be an integer"),
    (changed(gpus=figure(10**6)), r"integer in 1\.\.512"),
    (changed(gpus=2), "write {value, unit, source, kind}"),
    (changed(gpus={"value": 2, "unit": "GPU", "kind": "spec"}), "lacks source"),
    (changed(gpus=figure(3), island_gpus=figure(2)), "does not divide"),
    (changed(wires=[]), "unknown key 'wires'"),
    (changed(wiring_source=""), "lacks wiring_source"),
    (changed(links={}), "lacks links"),
    (changed(links={"wire": 5}), "write bandwidth, latency and duplex"),
    (changed(links={"wire": kind(0.0)}), "bandwidth is 0.0; it must be positive"),
    (changed(links={"wire": kind(1.0, -1.0)}), "latency is -1.0; it must be at least 0"),
    (changed(links={"wire": kind(1.0, duplex="ful")}), "Did you mean 'full'"),
    (changed(links={"wire": kind(1.0) | {"latencies": 1}}), "Did you mean 'latency'"),
    (changed(links=WIRE | {"more": kind(1.0)}), "no wiring uses the links more"),
    (changed(wiring="gpu-hub"), "write a list of links"),
    (changed(wiring=["gpu-hub"]), "write {link, each, to}"),
    (changed(wiring=[{"link": "wir", "each": "gpu", "to": "hub"}]), "Did you mean 'wire'"),
    (changed(wiring=[{"link": "wire", "each": "hub", "to": "top"}]), "unknown kind of vertex"),
    (changed(wiring=[{"link": "wire", "each": "gpu", "two": "hub"}]), "Did you mean 'to'"),
    (changed(wiring=[{"link": "wire", "each": "gpu"}]), "either to or mesh"),
    (changed(wiring=[HUB[0] | {"mesh": 2}]), "either to or mesh"),
    (changed(wiring=[HUB[0] | {"group": 1, "stride": 1}]), "group or stride, not both"),
    (changed(wiring=[HUB[0] | {"width": 0}]), "width=0 is below 1"),
    (
        changed(wiring=[{"link": "wire", "each": "gpu", "mesh": 2, "group": 2}]),
        "no effect on a mesh",
    ),
    (changed(wiring=[*HUB, {"link": "wire", "each": "hub", "to": "gpu"}]), "swap each and to"),
    (changed(wiring=HUB * 2), "gpu0 and hub0 have a link already"),
    (changed(wiring=[HUB[0] | {"group": 1}]), "gpu0 reaches gpu1 over no link"),
    (
        description(3, WIRE, [{"link": "wire", "each": "gpu", "mesh": 2}]),
        "GPUs pass nothing on; add to wiring",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_refused(data, message):
    with pytest.raises(TableError, match=message):
        loaded(data)
