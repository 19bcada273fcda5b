"""Tables and picture of a topology."""

import io
import re

import pytest
from rich.console import Console

from simulator.errors import ConfigError
from simulator.hardware.topology import load_topology, topology_names
from simulator.report.topology import print_topology, size
from simulator.report.topology_chart import layout, plot_topology
from simulator.study.topology import study_topology


def printed(name, **settings):
    out = io.StringIO()
    study = study_topology(load_topology(name), [4096, 10**9], **({"check": False} | settings))
    print_topology(study, Console(file=out, width=80))
    return out.getvalue()


def cells(out, start):
    """The cells of the lines that begin so."""
    return [re.split(r" {2,}", line.strip()) for line in out.splitlines() if start in line]


def test_links_pairs_and_collectives():
    out = printed("nvlink_pairs_a800", check=True)
    assert ["nvlink", "4", "gpu", "gpu", "200", "0.600 us", "full"] in cells(out, "nvlink")
    assert ["upi", "1", "cpu", "cpu", "67.2", "0.500 us", "full"] in cells(out, "upi")
    assert ["all-reduce", "4 KiB", "one-shot", "4.58 us"] in cells(out, "all-reduce")
    assert "every algorithm is within 0.001 % of them" in out
    tables, sources = out.split("Sources")
    assert max(map(len, tables.splitlines())) <= 80
    assert "NVIDIA A800 PCIe datasheet" in sources
    assert "wiring" in sources


def test_without_the_check_nothing_is_claimed():
    assert "within" not in printed("nvswitch_h100")


def test_sizes():
    assert [size(n) for n in (1, 1000, 1024, 2**20, 3 * 2**30)] == [
        "1 B",
        "1,000 B",
        "1 KiB",
        "1 MiB",
        "3 GiB",
    ]


@pytest.mark.parametrize("name", topology_names())
def test_no_two_vertices_stand_in_one_place(name):
    topology = load_topology(name)
    places = layout(topology)
    assert set(places) == set(topology.graph)
    assert len(set(places.values())) == len(places)


def test_the_network_is_above_and_the_switches_of_nodes_below():
    places = layout(load_topology("rails_infiniband_h100"))
    heights = {name.rstrip("0123456789"): height for name, (_, height) in places.items()}
    assert heights == {"gpu": 0.0, "nic": 1.0, "leaf": 2.0, "spine": 3.0, "nvswitch": -1.0}


def test_the_picture_is_the_same_twice(tmp_path):
    topology = load_topology("nvlink_pairs_h100")
    files = [plot_topology(topology, tmp_path / f"{i}.png") for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith(b"\x89PNG")


def test_large_ones_are_drawn_without_names_of_gpus_and_small_ones_with(tmp_path):
    """In SVG, text that is not there cannot be read: look for the group of each word."""
    sizes = {}
    for name in ("nvl72", "nvswitch_h100"):
        file = plot_topology(load_topology(name), tmp_path / f"{name}.svg")
        sizes[name] = file.read_text()
    assert "<!-- nvswitch0 -->" in sizes["nvl72"]
    assert "<!-- 71 -->" not in sizes["nvl72"]
    assert "<!-- 7 -->" in sizes["nvswitch_h100"]


def test_a_legend_names_each_kind_of_link_once(tmp_path):
    file = plot_topology(load_topology("fat_tree_roce_h800"), tmp_path / "tree.svg")
    drawn = file.read_text()
    for label in ("nvlink 200 GB/s", "pcie 63.0 GB/s", "roce 50.0 GB/s", "trunk 200 GB/s"):
        assert drawn.count(f"<!-- {label} -->") == 1


def test_a_format_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="suffix must be one of"):
        plot_topology(load_topology("nvswitch_h100"), tmp_path / "node.bmp")
