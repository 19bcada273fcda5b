"""Steps event by event, by hand: devices, exchanges on links, overlap, and others on the links."""

import numpy as np
import pytest
import simpy
from helpers.serving_bench import FakeTrace
from helpers.topologies import slow_node

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep, RoutedPart
from simulator.experts.loads import rank_loads
from simulator.experts.placement import contiguous
from simulator.hardware.link_network import LinkNetwork
from simulator.models.operators import AllGather, Combine, Dispatch, ReduceScatter
from simulator.serving.drawn_steps import DrawnSteps
from simulator.serving.expert_loads import LoadRows
from simulator.serving.layer_events import EventSteps, ExchangeLinks
from simulator.serving.link_meter import LinkMeter
from simulator.trace.schema import EXPERT_LOADS, LINKS, STEP_TIMES, row_columns

GATHERS = [AllGather(20.0, 2, 1), ReduceScatter(40.0, 2, 1)]
"""With 4 tokens, 40 bytes each way in the dispatch, 1 s at 40 bytes/s, and 2 s in the combine."""

LOADS = rank_loads(np.array([[0, 0, 1, 2], [0, 1, 2, 3]]), contiguous(4, 2))
"""Of 4 tokens in 2 layers: three copies and one, then two each."""


def part(dispatch_s=1.0, combine_s=2.0):
    """Experts take 3 s on rank 0 and 1 s on rank 1, then 2 s on both."""
    ones = np.ones(2)
    experts_s = np.array([[3.0, 1.0], [2.0, 2.0]])
    return RoutedPart(4.0, LOADS, experts_s, dispatch_s * ones, combine_s * ones)


def step(*parts, once_s=0.5, layers_s=2.0):
    """A step whose two layers take 1 s each beside experts and exchange."""
    drawn_s = once_s + layers_s + parts[0].seconds
    return DrawnStep(10.0, drawn_s, once_s, layers_s, parts[0], list(parts))


class Rig:
    """Runs steps of one replica on the first two of four GPUs, one after another."""

    def __init__(self, operators=GATHERS, parts=1, every=2):
        self.env = simpy.Environment()
        self.loads = FakeTrace(row_columns(EXPERT_LOADS))
        self.times = FakeTrace(row_columns(STEP_TIMES))
        self.links = FakeTrace(row_columns(LINKS))
        node = slow_node(4, latency_s=0.0)
        self.meter = LinkMeter(self.env, node, 5.0, self.links)
        self.network = LinkNetwork(self.env, node, self.meter.add)
        exchanged = ExchangedBytes(operators, ranks=2)
        rows = LoadRows(7, exchanged, every, self.loads, self.times)
        links = ExchangeLinks(self.network, [0, 1], exchanged)
        self.steps = EventSteps(self.env, links, 2, parts, rows)

    def run(self, *drawn):
        ends = []

        def follow():
            for one in drawn:
                self.steps.take(one)
                yield self.steps.follow(one.drawn_s)
                ends.append(self.env.now)

        self.env.run(self.env.process(follow()))
        self.env.run()
        self.meter.close()
        return pytest.approx(ends)


ALONE_S = 0.5 + (1 + 1 + 3 + 2) + (1 + 1 + 2 + 2)


def test_layers_one_after_another_wait_for_the_slowest_rank():
    drawn = step(part())
    assert Rig().run(drawn, drawn) == [ALONE_S, 2 * ALONE_S]
    assert drawn.drawn_s == ALONE_S


def test_what_a_measured_exchange_takes_beyond_the_links_follows_them():
    slower = step(part(dispatch_s=1.25, combine_s=2.5))
    assert Rig().run(slower) == [ALONE_S + 2 * 0.75]


def test_a_step_has_an_event_per_device_and_exchange():
    """Of each layer two attentions, two experts, two exchanges; begin and end of the step."""
    rig = Rig()
    rig.run(*[step(part())] * 10)
    own = 3  # the start and the end of the test's process, and SimPy's stop
    assert next(rig.env._eid) - own <= 10 * (2 * (2 + 2 + 2) + 2) + 1


def test_without_an_exchange_only_devices_work():
    quiet = step(part(dispatch_s=0.0, combine_s=0.0))
    rig = Rig(operators=[])
    assert rig.run(quiet) == [0.5 + (1 + 3) + (1 + 2)]
    assert not rig.links.rows


def test_the_last_interval_of_links_that_fell_idle_is_no_longer_than_the_others():
    rig = Rig()
    rig.meter.add(np.ones(len(rig.network.topology.capacities)))
    rig.env.run(until=1000.0)
    rig.meter.close()
    assert set(rig.links.column("duration_s")) == {5.0}


def test_two_batches_hide_the_exchange_of_one_behind_the_other():
    """Each batch: 1 s attention, 1 s dispatch, 3 and 1 s of experts, 2 s combine; one layer.

    A attends to 1 s, B to 2 s; A dispatches to 2 s and computes to 5 s on rank 0, to 3 s on rank 1;
    B dispatches from 2 s to 3 s and computes from 5 s to 8 s on rank 0; combines end at 7 and 10 s.
    """
    ones = np.ones(1)
    loads = rank_loads(np.array([[0, 0, 1, 2]]), contiguous(4, 2))
    half = RoutedPart(4.0, loads, np.array([[3.0, 1.0]]), ones, 2 * ones)
    rig = Rig(parts=2)
    drawn = DrawnStep(0.0, 14.0, 0.0, 1.0, half, [half, half])
    assert rig.run(drawn) == [10.0]
    assert rig.times.column("held_up_s") == pytest.approx([0.0])


def test_exchanges_of_two_batches_share_the_links():
    """Both dispatch at once from 1 s on where attention takes no time: 2 s for both."""
    ones = np.ones(1)
    loads = rank_loads(np.array([[0, 0, 1, 2]]), contiguous(4, 2))
    half = RoutedPart(4.0, loads, np.array([[3.0, 1.0]]), ones, 2 * ones)
    rig = Rig(parts=2)
    # Dispatches to 2 s; experts to 5 and 8 s; combines to 7 and 10 s. One alone takes 6 s, and is
    # not held up by what the other was before.
    both = DrawnStep(0.0, 12.0, 0.0, 0.0, half, [half, half])
    assert rig.run(both, both._replace(parts=[half])) == [10.0, 16.0]
    assert rig.times.column("held_up_s") == pytest.approx([2.0, 0.0])


def test_keys_and_values_on_the_same_link_slow_a_dispatch():
    """A transfer into GPU 0 from 1.5 s on, when the first dispatch begins: each gets half.

    The dispatch has 40 bytes through that link and takes 2 s. Of 100 bytes the transfer has 60
    left then, and goes on alone while experts compute: it is gone by 5 s, before the combine.
    """
    rig = Rig()
    arrived = []

    def transfer(_):
        sent = rig.network.send(3, 0, 100.0)
        sent.there.callbacks.append(lambda _: arrived.append(rig.env.now))

    rig.env.timeout(1.5).callbacks.append(transfer)
    assert rig.run(step(part())) == [ALONE_S + 1.0]
    assert arrived == [pytest.approx(1.5 + 2.0 + 60 / 40)]
    assert rig.times.column("held_up_s") == pytest.approx([1.0])
    assert rig.times.column("duration_s") == pytest.approx([ALONE_S + 1.0])


def test_a_dispatch_by_choice_loads_the_links_of_the_busy_rank():
    """10 bytes a copy: half of a rank's copies come from the other GPU, results go back."""
    operators = [
        Dispatch("deepep_low_latency", 10.0, 1, 1, 4, 2, 1),
        Combine("deepep_low_latency", 20.0, 1, 1, 4, 2, 1),
    ]
    rig = Rig(operators)
    # Layer 0: 15 bytes into rank 0, 30 back; layer 1: 10 into each, 20 back.
    wire_s = 15 / 40 + 30 / 40 + 10 / 40 + 20 / 40
    assert rig.run(step(part(0.0, 0.0))) == [0.5 + 2 + 3 + 2 + wire_s]
    assert rig.loads.column("bytes_in") == pytest.approx([15, 5, 10, 10])
    assert rig.loads.column("bytes_out") == pytest.approx([30, 10, 20, 20])


def test_an_abandoned_step_leaves_nothing_behind():
    """Lost in the dispatch: no row, the links are free, and the next step is whole."""
    rig = Rig(every=1)
    rig.steps.take(step(part()))
    rig.steps.follow(0.0)
    rig.env.timeout(2.0).callbacks.append(lambda _: rig.steps.abandon())
    rig.env.run(until=3.0)
    assert rig.run(step(part())) == [3.0 + ALONE_S]
    assert rig.times.column("iteration").tolist() == [0]
    assert len(rig.loads.rows) == 4


def test_rows_say_what_ranks_got_and_links_carried():
    rig = Rig(every=2)
    rig.run(*[step(part())] * 3)
    assert rig.times.column("iteration").tolist() == [0, 1, 2]
    assert rig.loads.column("iteration").tolist() == [0] * 4 + [2] * 4
    assert rig.loads.column("tokens")[:4] == pytest.approx([3, 1, 2, 2])
    assert rig.loads.column("active_experts")[:4].tolist() == [2, 1, 2, 2]
    assert set(rig.loads.column("bytes_in")) == {40.0}
    # Per step and link: 2 layers of 40 and 80 bytes out, and as many in.
    assert rig.links.column("bytes").sum() == pytest.approx(3 * 2 * 2 * 2 * 120)
    share = rig.links.column("bytes") / (80.0 * rig.links.column("duration_s"))
    assert rig.links.column("utilisation") == pytest.approx(share)
    assert rig.links.column("duration_s")[:-2] == pytest.approx(5.0)


def test_drawn_steps_take_what_costs_say():
    env, times = simpy.Environment(), FakeTrace(row_columns(STEP_TIMES))
    steps = DrawnSteps(env, LoadRows(0, ExchangedBytes([], 2), 1, None, times))
    steps.take(step(part()))
    steps.follow(4.0)
    env.run()
    assert env.now == 4.0
    steps.follow(4.0)
    steps.abandon()
    env.run()
    assert times.column("duration_s").tolist() == [4.0]
