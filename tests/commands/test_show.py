"""``moesim show cluster``: tables, picture and summary, and what it refuses."""

import json

import pytest
import yaml
from helpers.topologies import description, kind


def test_a_shipped_topology(moesim, tmp_path):
    code, out, err = moesim("show", "cluster", "topology=pcie_host", "hydra.run.dir=seen")
    assert (code, err) == (0, "")
    assert "PCIe host, 8 GPUs" in out
    assert out.rstrip().endswith("topology: seen/topology.png")
    found = json.loads((tmp_path / "seen" / "summary.json").read_text())
    assert found["metrics"]["deviation"] < 0.01
    assert found["metrics"]["all_to_all_4096_s"] == pytest.approx(2.5e-6 + 2 * 4096 / 31.5e9)
    assert (tmp_path / "seen" / "topology.png").exists()


def test_a_file_of_ones_own(moesim, tmp_path):
    wiring = [{"link": "wire", "each": "gpu", "to": "hub"}]
    data = description(3, {"wire": kind(1e9, 1e-6)}, wiring)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    words = ("topology=mine.yaml", "sizes_bytes=1000", "picture=false", "json=true")
    code, out, _ = moesim("show", "cluster", *words, "hydra.run.dir=seen")
    assert code == 0
    assert json.loads(out)["all_gather_1000_s"] == pytest.approx(2e-6 + 2 / 3 * 1e-6)
    assert not (tmp_path / "seen" / "topology.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["topology=nvl27"], "Did you mean 'nvl72'"),
        (["topology=mine.yaml"], "not found"),
        (["sizes_bytes=0"], "each positive"),
        (["sizes_bytes="], "one size or more"),
        (["topologie=nvl72"], "Did you mean 'topology'"),
    ],
)
def test_refused(moesim, words, message):
    code, out, err = moesim("show", "cluster", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_nodes_that_nothing_joins(moesim, tmp_path):
    wiring = [{"link": "wire", "each": "gpu", "to": "hub", "group": 2}]
    data = description(4, {"wire": kind(1e9, 1e-6)}, wiring, island=2)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    code, out, err = moesim("show", "cluster", "topology=mine.yaml")
    assert (code, out) == (2, "")
    assert "gpu0 reaches gpu2 over no link" in err
    assert "add to wiring what joins them" in err


def test_subjects(moesim):
    assert "cluster" in moesim("show")[1]
    assert "sizes_bytes=" in moesim("show", "cluster", "--help")[1]
    assert "unknown subject" in moesim("show", "clusters")[2]


def test_the_shipped_option_runs(simulate, tmp_path):
    code, out, err = simulate("cluster=on_topology")
    assert (code, err) == (0, "")
    assert "max-min fairness" in " ".join(out.split())
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_topology_too_small(refused):
    message = refused("cluster=on_topology", "hardware.tensor_parallel=4")
    assert "has 8 GPUs, but the pools take 16 (prefill 2 x 4, decode 2 x 4)" in message
    assert "moesim list topologies" in message
