"""Collectives over more GPUs than were measured: the table, and what links add."""

import pytest
from helpers.topologies import description, kind, loaded

from simulator.errors import ConfigError, TableError
from simulator.hardware.collectives import fastest
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.tables import KernelTables

RAILS, RACK = (load_topology(name) for name in ("rails_infiniband_h100", "nvl72"))
H100, GB200 = (KernelTables.load(load_gpu(name)) for name in ("h100_sxm", "gb200"))
NAMES = ("all_gather", "reduce_scatter", "nccl_all_to_all", "all_reduce")
SIZES = (0.0, 3e4, 1e9)


def collective(name):
    return name.removeprefix("nccl_")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_beyond_a_node_it_is_the_node_and_what_the_links_add(name, size):
    ask = getattr(H100, name)
    node, wide = ask(size, 8), ask(size, 16, RAILS)
    far, near = (fastest(RAILS.first(g), collective(name), size).seconds for g in (16, 8))
    assert wide == (pytest.approx(node.seconds + far - near), "assumed")
    assert far > near


@pytest.mark.parametrize("name", NAMES)
def test_a_topology_changes_nothing_where_a_node_was_measured(name):
    ask = getattr(H100, name)
    assert ask(1e6, 8, RAILS) == ask(1e6, 8)
    assert ask(1e6, 1, RAILS).seconds == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_more_gpus_of_a_rack_never_take_less(name):
    times = [getattr(GB200, name)(1e8, gpus, RACK).seconds for gpus in (4, 8, 16, 72)]
    assert times == sorted(times)
    assert times[-1] < 2 * times[0]  # one domain: shares of a byte, no network


def test_without_a_topology_the_remedy_is_named():
    for name in NAMES:
        with pytest.raises(TableError, match=r"over 16 GPUs .*measured: .* \(hardware\.topology\)"):
            getattr(H100, name)(1.0, 16)
    with pytest.raises(ConfigError, match="has 32 GPUs, 40 are asked for"):
        H100.all_gather(1.0, 40, RAILS)


def test_rows_of_a_node_stand_for_no_more_than_an_island():
    """Islands of four: eight GPUs of one node, as measured, are not two of them."""
    wiring = [
        {"link": "wire", "each": "gpu", "to": "switch", "group": 4},
        {"link": "wire", "each": "switch", "to": "spine"},
    ]
    fours = loaded(description(16, {"wire": kind(50e9, 1e-6)}, wiring, island=4))
    far, near = (fastest(fours.first(g), "all_gather", 1e6).seconds for g in (16, 4))
    expected_s = H100.all_gather(1e6, 4).seconds + far - near
    assert H100.all_gather(1e6, 16, fours).seconds == pytest.approx(expected_s)
