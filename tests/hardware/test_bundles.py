"""Transfers that end together: alone in closed form, beside others by hand."""

import numpy as np
import pytest
import simpy
from helpers.topologies import slow_node
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware.bundles import TransferPattern, everyone
from simulator.hardware.collectives import Steps, alone_s, shared_one_shot
from simulator.hardware.link_network import LinkNetwork
from simulator.hardware.topology import load_topology

NODE = slow_node(4, latency_s=0.5)  # 40 bytes/s, 0.5 s
ALL = TransferPattern(NODE, everyone(range(4)))
PAIRS = [TransferPattern(NODE, [(0, 1), (1, 0)]), TransferPattern(NODE, [(2, 3), (3, 2)])]


class Rig:
    """Starts bundles and flows at given times, and notes when they arrive."""

    def __init__(self, carried=None):
        self.env = simpy.Environment()
        self.network = LinkNetwork(self.env, NODE, carried)
        self.there = {}
        self.bundles = {}

    def bundle(self, name, at_s, pattern, size_bytes, delay_s=0.0):
        [bundle] = pattern.bundles(np.full((1, len(pattern.pairs)), float(size_bytes)))

        def start(_):
            self.bundles[name] = self.network.send_bundle(bundle, lambda: self._note(name), delay_s)

        self.env.timeout(at_s).callbacks.append(start)

    def flow(self, name, at_s, *transfer):
        def start(_):
            self.network.send(*transfer).there.callbacks.append(lambda _: self._note(name))

        self.env.timeout(at_s).callbacks.append(start)

    def at(self, time_s, action):
        self.env.timeout(time_s).callbacks.append(lambda _: action())

    def _note(self, name):
        self.there[name] = self.env.now

    def run(self):
        self.env.run()
        assert self.network.flows == 0
        return pytest.approx(self.there)


def test_alone_it_ends_when_the_fullest_channel_has_passed_its_bytes():
    sizes = np.zeros((2, 12))
    sizes[0, :3] = 20, 40, 60  # all from GPU 0: 120 bytes through its link
    sizes[1, ALL.pairs.index((1, 0))] = sizes[1, ALL.pairs.index((2, 0))] = 50
    assert ALL.alone_s(sizes) == pytest.approx([0.5 + 120 / 40, 0.5 + 100 / 40])
    one, two = ALL.bundles(sizes)
    assert (one.alone_s, one.mean_bytes) == (3.0, 40.0)
    assert (two.alone_s, two.mean_bytes, two.latency_s) == (2.5, 50.0, 0.5)


@pytest.mark.parametrize("name", ["nvswitch_h100", "rails_infiniband_h100", "pcie_host"])
def test_an_even_bundle_takes_the_closed_form_of_the_all_to_all(name):
    topology = load_topology(name)
    [steps] = shared_one_shot(topology, 8e6)
    pattern = TransferPattern(topology, everyone(range(topology.gpus)))
    sizes = np.full((1, len(pattern.pairs)), 8e6 / topology.gpus)
    assert pattern.alone_s(sizes) == pytest.approx(alone_s(topology, [Steps(1, steps.sent)]))


def test_alone_it_costs_one_event_and_no_shares():
    rig = Rig()
    rig.network._share = None  # would fail if called
    for second in range(50):
        rig.bundle(second, 10.0 * second, ALL, 40)
    before = next(rig.env._eid)
    assert rig.run() == {second: 10.0 * second + 3.0 + 0.5 for second in range(50)}
    assert next(rig.env._eid) - before == 50 + 1


def test_apart_bundles_do_not_meet():
    rig = Rig()
    rig.network._share = None
    rig.bundle("a", 0.0, PAIRS[0], 40)
    rig.bundle("b", 0.5, PAIRS[1], 40)
    assert rig.run() == {"a": 1.5, "b": 2.0}


def test_a_flow_on_one_channel_holds_up_all_of_it():
    """Three transfers and a flow leave GPU 0: 10 bytes/s each from 1 s on, until the bundle ends.

    Of 40 bytes each, 26.7 are left at 1 s. The flow has sent as much by then, of 40.
    """
    rig = Rig()
    rig.bundle("bundle", 0.0, ALL, 40, delay_s=0.25)
    rig.flow("flow", 1.0, 0, 1, 40)
    ends = 1 + (40 - 40 / 3) / 10
    assert rig.run() == {"bundle": ends + 0.5 + 0.25, "flow": ends + (40 / 3) / 40 + 0.5}


def test_it_joins_a_flow_that_was_there_before():
    """20 bytes/s each on the link into GPU 1 from 1 s on."""
    rig = Rig()
    rig.flow("flow", 0.0, 2, 1, 80)
    rig.bundle("bundle", 1.0, PAIRS[0], 20)
    assert rig.run() == {"bundle": 2.0 + 0.5, "flow": 1 + 1 + 20 / 40 + 0.5}


def test_what_is_sent_is_not_held_up_while_its_latency_passes():
    rig = Rig()
    rig.bundle("bundle", 0.0, PAIRS[0], 40)
    rig.flow("flow", 1.2, 0, 1, 40)
    assert rig.run() == {"bundle": 1.5, "flow": 2.7}


def test_two_bundles_on_the_same_links_take_twice_as_long():
    rig = Rig()
    rig.bundle("a", 0.0, PAIRS[0], 40)
    rig.bundle("b", 0.0, PAIRS[0], 40)
    assert rig.run() == {"a": 2.5, "b": 2.5}


def test_on_slower_links_it_is_slower_until_they_are_back():
    """A quarter of the bandwidth from 0.5 s to 1.5 s: 20 bytes, 10, then the last 10."""
    rig = Rig()
    link = NODE.link("gpu0-hub0", "test")
    rig.bundle("before", 0.0, PAIRS[0], 40)
    rig.at(0.5, lambda: rig.network.set_factor(link, 0.25))
    rig.at(1.5, lambda: rig.network.set_factor(link, 1.0))
    rig.bundle("after", 5.0, PAIRS[0], 40)
    assert rig.run() == {"before": 1.75 + 0.5, "after": 6.5}


@pytest.mark.parametrize("beside", [False, True])
def test_a_cancelled_bundle_makes_room_and_tells_nobody(beside):
    rig = Rig()
    rig.bundle("gone", 0.0, PAIRS[0], 400)
    if beside:
        rig.flow("flow", 0.0, 0, 1, 60)
    rig.at(1.0, lambda: rig.network.cancel_bundle(rig.bundles["gone"]))
    assert rig.run() == ({"flow": 1 + 40 / 40 + 0.5} if beside else {})


FLOWS = st.lists(
    st.tuples(st.floats(0, 4), st.sampled_from([1, 2, 3]), st.floats(1, 90)), max_size=4
)


@settings(max_examples=40)
@given(FLOWS)
def test_equal_transfers_from_one_gpu_fare_as_one_by_one_and_all_bytes_are_counted(flows):
    """The link of the sender is the narrow place: a bundle there is so many flows."""
    pattern = TransferPattern(NODE, [(0, 1), (0, 2), (0, 3)])
    counted = []
    together, apart = Rig(lambda loads: counted.append(loads.copy())), Rig()
    together.bundle("bundle", 0.0, pattern, 40)
    for receiver in (1, 2, 3):
        apart.flow(("bundle", receiver), 0.0, 0, receiver, 40)
    for name, (at_s, receiver, size_bytes) in enumerate(flows):
        together.flow(name, at_s, 0, receiver, size_bytes)
        apart.flow(name, at_s, 0, receiver, size_bytes)
    together.run()
    apart.run()
    assert together.there == pytest.approx(
        {name: apart.there[name] for name in range(len(flows))}
        | {"bundle": apart.there[("bundle", 1)]}
    )
    total = 3 * 40 + sum(size_bytes for *_, size_bytes in flows)
    assert sum(loads.sum() for loads in counted) == pytest.approx(2 * total)  # two links each
