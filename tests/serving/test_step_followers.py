"""Replicas whose steps are followed event by event, in a cluster: shared links, and losses."""

import gc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment
from helpers.topologies import slow_node

from simulator.costs.curves import Window
from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep, RoutedPart
from simulator.experts.loads import rank_loads
from simulator.experts.placement import contiguous
from simulator.models.operators import AllGather, ReduceScatter
from simulator.serving.cluster_config import FailuresConfig, LossConfig
from simulator.serving.deployment import DispatchPlan

NODE = slow_node(4, latency_s=0.0)  # 40 bytes/s
LOADS = rank_loads(np.array([[0, 1, 2, 3]]), contiguous(4, 2))
ONE = np.ones(1)
PART = RoutedPart(4.0, LOADS, np.array([[1.0, 1.0]]), ONE, ONE)
STEP = DrawnStep(5.0, 5.0, 1.0, 1.0, PART, [PART])
"""One layer: 1 s of host, 1 s of attention, 1 s of dispatch, 1 s of experts, 1 s of combine."""


@dataclass
class FakeDrawnSteps(FakeSteps):
    """Every step is `STEP`."""

    taken: object = None

    def decode_window(self, requests, context_tokens):
        self.taken(STEP)
        return Window(STEP.drawn_s, 0.0, 1, 0, 4.0)

    def mixed_s(self, requests, context_tokens, chunks):
        self.taken(STEP)
        return STEP.drawn_s


def plan(*, events=True, topology=NODE):
    operators = [AllGather(20.0, 2, 1), ReduceScatter(20.0, 2, 1)]  # 40 bytes each way
    return DispatchPlan(
        new_steps=lambda streams, replica, taken: [FakeDrawnSteps(taken=taken)],
        exchanged=ExchangedBytes(operators, ranks=2),
        ranks=2,
        events=events,
        parts=1,
        topology=topology,
        loads_every=1,
        links_interval_s=1.0,
    )


@pytest.mark.parametrize("events", [True, False])
def test_steps_take_what_is_drawn_and_leave_their_times(events):
    pool = replace(deployment(FakeSteps(), gpus=2), dispatch=plan(events=events))
    bench = Bench().run_cluster(FixedWorkload([0.0], [10], [3]), [pool])
    assert bench.iterations.column("duration_s") == pytest.approx([5.0] * 3)
    assert bench.iterations.column("start_s") == pytest.approx([0.0, 5.0, 10.0])
    assert bench.times.column("duration_s") == pytest.approx([5.0] * 3)


def test_keys_and_values_slow_the_dispatch_of_the_replica_that_they_reach():
    """Prefill ends at 1 s and 10 s, and sends 5 bytes a token to each decoding GPU, at 20 bytes/s.

    The first request is there at 3.5 s and decodes in steps of 5 s. The second one's 200 bytes are
    under way from 10 s on. They leave the dispatch of the step that began at 8.5 s half of its
    link: from 10.5 s to 12.5 s. By the combine, at 13.5 s, 30 bytes are left for each GPU: until
    15 s that has half, too, and sends its last 10 bytes alone.
    """
    prefill = deployment(FakeSteps(), role="prefill", kv_bytes_per_token=10.0, gpus=1)
    decode = replace(deployment(FakeSteps(), role="decode", gpus=2), dispatch=plan(topology=None))
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 9.0], [10, 20], [3, 2]),
        [prefill, decode],
        topology=NODE,
        router="round_robin",
    )
    decoding = bench.iterations.column("replica") == 1
    durations_s = bench.iterations.column("duration_s")[decoding]
    assert durations_s == pytest.approx([5.0, 5.0 + 1.0 + 0.75, 5.0])
    assert bench.times.column("held_up_s") == pytest.approx([0.0, 1.75, 0.0])


def test_a_replica_that_is_lost_in_a_step_begins_anew():
    """Lost at 7 s, in the dispatch of its second step; back at 8 s, its request begins anew."""
    pool = replace(deployment(FakeSteps(), gpus=2), dispatch=plan())
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [2]),
        [pool],
        failures=FailuresConfig(losses=(LossConfig(at_s=7.0, replica=0, repair_s=1.0),)),
    )
    assert bench.iterations.column("start_s") == pytest.approx([0.0, 8.0, 13.0])
    assert bench.iterations.column("duration_s") == pytest.approx([5.0] * 3)
    assert bench.times.column("iteration").tolist() == [0, 1, 2]
    assert bench.requests.column("finish_s") == pytest.approx([18.0])


def test_nothing_is_left_for_the_collector_that_grows_with_the_steps():
    """What is sent and what waits for it refer to each other only while it is under way."""
    left = []
    for tokens in (20, 400):
        pool = replace(deployment(FakeSteps(), gpus=2), dispatch=plan())
        gc.collect()
        Bench().run_cluster(FixedWorkload([0.0], [10], [tokens]), [pool])
        left.append(gc.collect())
    assert left[1] - left[0] < 100
