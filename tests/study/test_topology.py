"""What is said of a topology."""

import pytest
from helpers.topologies import slow_node

from simulator.hardware.topology import load_topology
from simulator.study.topology import Way, study_topology, summary


def test_pairs_are_counted_by_what_lies_between_them():
    study = study_topology(load_topology("rails_infiniband_h100"), [1024], check=False)
    assert sum(study.ways.values()) == 32 * 31
    assert study.ways[Way(2, 450e9, 0.6e-6)] == 4 * 8 * 7
    assert [way.links for way in study.ways] == [2, 4, 6]
    assert study.deviation is None


def test_the_check_finds_what_the_network_does_otherwise(monkeypatch):
    topology = slow_node()
    assert study_topology(topology, [100], check=True).deviation < 1e-9
    monkeypatch.setattr("simulator.study.topology.simulated_s", lambda *_: 1e6)
    assert study_topology(topology, [100], check=True).deviation > 1


def test_summary_has_flat_metrics():
    found = summary(study_topology(slow_node(), [100, 200], check=True))
    assert found["metrics"]["all_to_all_100_s"] == pytest.approx(0.5 + 75 / 40)
    assert set(found["algorithms"]["all_reduce"]) == {"100", "200"}
    assert found["links"]["gpu3-hub0"] == {"kind": "wire", "bytes_per_s": 40.0}
    assert found["pairs"] == [{"links": 2, "bandwidth": 40.0, "latency_s": 0.5, "pairs": 12}]


def test_one_gpu_has_no_collectives():
    study = study_topology(slow_node(1), [100], check=True)
    assert (study.collectives, study.ways, study.deviation) == ({}, {}, None)
    assert summary(study)["metrics"] == {}
