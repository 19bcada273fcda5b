"""Transfers in time: by hand, and against a fluid that is followed from change to change."""

import pytest
import simpy
from helpers.topologies import description, kind, loaded, slow_node
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware.link_network import LinkNetwork
from simulator.hardware.sharing import max_min_rates

LAST = 2
"""Priority of the events of a network; SimPy adds one of its own for ``until``."""


class Rig:
    """Sends at given times and notes when all is there."""

    def __init__(self, topology):
        self.env = simpy.Environment()
        self.network = LinkNetwork(self.env, topology)
        self.there = {}
        self.flows = {}

    def at(self, time_s, action):
        self.env.timeout(time_s).callbacks.append(lambda _: action())

    def send(self, name, at_s, *transfer):
        def start():
            flow = self.flows[name] = self.network.send(*transfer)
            flow.there.callbacks.append(lambda _: self.there.__setitem__(name, self.env.now))

        self.at(at_s, start)

    def run(self):
        self.env.run()
        assert self.network.flows == 0
        return self.there


def test_alone_it_takes_bandwidth_and_latency():
    rig = Rig(slow_node())  # 40 bytes/s, 0.5 s
    rig.send("a", 1.0, 0, 1, 100)
    assert rig.run() == {"a": pytest.approx(1 + 100 / 40 + 0.5)}


def test_two_flows_on_one_link_take_twice_as_long():
    rig = Rig(slow_node(latency_s=0.0))
    rig.send("a", 0.0, 0, 1, 100)
    rig.send("b", 0.0, 0, 2, 100)
    assert rig.run() == pytest.approx({"a": 5.0, "b": 5.0})


def test_who_comes_later_slows_down_and_who_goes_speeds_up():
    """a alone to 1 s (40 bytes), both share to 4 s (60 each), then b alone."""
    rig = Rig(slow_node(latency_s=0.0))
    rig.send("a", 0.0, 0, 1, 100)
    rig.send("b", 1.0, 2, 1, 100)
    assert rig.run() == pytest.approx({"a": 4.0, "b": 5.0})


def test_apart_they_do_not_meet():
    rig = Rig(slow_node(latency_s=0.0))
    rig.send("a", 0.0, 0, 1, 100)
    rig.send("b", 0.0, 2, 3, 100)
    assert rig.run() == pytest.approx({"a": 2.5, "b": 2.5})


@pytest.mark.parametrize(("duplex", "end_s"), [("full", 2.5), ("half", 5.0)])
def test_both_ways_at_once(duplex, end_s):
    rig = Rig(slow_node(latency_s=0.0, duplex=duplex))
    rig.send("out", 0.0, 0, 1, 100)
    rig.send("back", 0.0, 1, 0, 100)
    assert rig.run() == pytest.approx({"out": end_s, "back": end_s})


def test_a_degraded_link_slows_what_goes_over_it_both_ways():
    """From 1 s on a tenth: of 100 bytes 40 are through, the rest takes 15 s."""
    rig = Rig(slow_node(latency_s=0.0))
    link = rig.network.topology.link("hub0-gpu1", "test")
    rig.send("to", 0.0, 0, 1, 100)
    rig.send("from", 0.0, 1, 3, 100)
    rig.send("else", 0.0, 2, 0, 100)
    rig.at(1.0, lambda: rig.network.set_factor(link, 0.1))
    assert rig.run() == pytest.approx({"else": 2.5, "to": 16.0, "from": 16.0})


def test_a_link_that_is_back_is_as_fast_as_before():
    rig = Rig(slow_node(latency_s=0.0))
    link = rig.network.topology.link("gpu1-hub0", "test")
    rig.send("a", 0.0, 0, 1, 100)
    rig.at(1.0, lambda: rig.network.set_factor(link, 0.1))
    rig.at(2.0, lambda: rig.network.set_factor(link, 1.0))
    assert rig.run() == pytest.approx({"a": 2.0 + 56 / 40})


def test_a_cancelled_flow_makes_room_and_never_arrives():
    rig = Rig(slow_node(latency_s=0.0))
    rig.send("a", 0.0, 0, 1, 100)
    rig.send("b", 0.0, 0, 2, 100)
    rig.at(1.0, lambda: rig.network.cancel(rig.flows["b"]))
    assert rig.run() == pytest.approx({"a": 1.0 + 80 / 40})


def test_what_is_sent_arrives_even_if_cancelled_then():
    rig = Rig(slow_node())
    rig.send("a", 0.0, 0, 1, 40)
    rig.at(1.2, lambda: rig.network.cancel(rig.flows["a"]))
    assert rig.run() == pytest.approx({"a": 1.5})


def test_nothing_and_to_oneself():
    rig = Rig(slow_node())
    rig.send("empty", 1.0, 0, 1, 0)
    rig.send("self", 1.0, 2, 2, 1e9)
    assert rig.run() == {"empty": 1.5, "self": 1.0}


def test_one_event_waits_however_many_flows_come():
    """All that begins in an instant counts as one change; an end and an arrival are one each."""
    env = simpy.Environment()
    network = LinkNetwork(env, slow_node(4))
    for flow in range(1000):
        network.send(flow % 3, 3, 10)
    assert len(env._queue) == 1
    env.step()
    assert len(env._queue) == 1  # until the first is sent
    before = next(env._eid)
    env.run()
    assert next(env._eid) - before < 2 + 1000 + 10


def test_a_later_flow_costs_one_event_until_it_is_sent():
    """Those under way become slower: the one event for the next end stands."""
    env = simpy.Environment()
    network = LinkNetwork(env, slow_node(4, latency_s=0.0))
    network.send(0, 1, 1e6)
    waiting = []
    for second in range(100):
        env.run(until=1.0 + second)
        network.send(0, 1, 1e6)
        env.run(until=1.5 + second)
        waiting.append(sum(priority == LAST for _, priority, _, _ in env._queue))
    assert waiting == [1] * 100


def chain():
    """Three GPUs and two hubs in a row, the last at half duplex."""
    links = {"wide": kind(40.0), "narrow": kind(10.0, duplex="half")}
    wiring = [
        {"link": "wide", "each": "gpu", "to": "hub", "group": 2},
        {"link": "narrow", "each": "hub", "to": "top"},
    ]
    return loaded(description(4, links, wiring))


CHAIN = chain()
TRANSFERS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.3]) | st.floats(0, 20),
        st.integers(0, 3),
        st.integers(0, 3),
        st.floats(1, 500),
    ).filter(lambda transfer: transfer[1] != transfer[2]),
    min_size=1,
    max_size=10,
)


def fluid(topology, transfers):
    """When each ends: rates held from one arrival or end to the next."""
    waiting = sorted(range(len(transfers)), key=lambda one: transfers[one][0])
    left, ends, now_s = {}, {}, 0.0
    while waiting or left:
        active = list(left)
        routes = [topology.routes[transfers[one][1]][transfers[one][2]] for one in active]
        rates = dict(zip(active, max_min_rates(routes, topology.capacities), strict=True))
        times = [now_s + left[one] / rates[one] for one in active]
        then_s = min([*times, *(transfers[one][0] for one in waiting[:1])])
        for one in active:
            left[one] -= rates[one] * (then_s - now_s)
            if left[one] <= 1e-9 * transfers[one][3]:
                ends[one] = then_s
                del left[one]
        now_s = then_s
        while waiting and transfers[waiting[0]][0] <= now_s:
            one = waiting.pop(0)
            left[one] = transfers[one][3]
    return ends


@settings(max_examples=100)
@given(TRANSFERS)
def test_against_a_fluid_followed_from_change_to_change(transfers):
    rig = Rig(CHAIN)
    for name, transfer in enumerate(transfers):
        rig.send(name, *transfer)
    assert rig.run() == pytest.approx(fluid(CHAIN, transfers), rel=1e-6)


ACTIONS = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.sampled_from(["cancel", "dip", "back"]),
        st.integers(0, 9),
        st.floats(0.05, 0.95),
    ),
    max_size=6,
)


@settings(max_examples=100)
@given(TRANSFERS, ACTIONS)
def test_whatever_happens_no_link_carries_more_than_it_can(transfers, actions):
    """Between any two changes; and all that is not cancelled arrives, not before it could alone."""
    rig, cancelled = Rig(CHAIN), set()
    links = list(CHAIN.links.values())
    for name, transfer in enumerate(transfers):
        rig.send(name, *transfer)

    def act(what, number, factor):
        link, flow = links[number % len(links)], rig.flows.get(number)
        if what == "cancel" and flow is not None:
            cancelled.add(number)
            rig.network.cancel(flow)
        elif what != "cancel":
            rig.network.set_factor(link, factor if what == "dip" else 1.0)

    for at_s, *action in actions:
        rig.at(at_s, lambda action=action: act(*action))
    while rig.env._queue:
        rig.env.step()
        for channel, capacity in enumerate(CHAIN.capacities):
            used = sum(flow.rate for flow in rig.network._flows if channel in flow.route)
            assert used <= capacity * (1 + 1e-6)
    assert rig.network.flows == 0
    assert set(range(len(transfers))) - cancelled <= set(rig.there)
    for name, there_s in rig.there.items():
        at_s, sender, receiver, size = transfers[name]
        alone_s = size / CHAIN.bandwidth[sender, receiver]
        assert there_s >= (at_s + alone_s) * (1 - 1e-6)
