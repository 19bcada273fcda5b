"""What a cluster asks of a replica: handing over, accepting, losing everything, and its load."""

from itertools import pairwise

import numpy as np
import pytest
import simpy
from helpers.serving_bench import FakeSteps, FakeTrace
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InvariantError
from simulator.serving.kv_cache import KvCache
from simulator.serving.queues import QUEUES
from simulator.serving.replica import Replica
from simulator.serving.request import Request
from simulator.serving.ring import EmissionRing
from simulator.serving.scheduler import Limits
from simulator.serving.slots import SlotArray
from simulator.serving.trajectories import lay_trajectories
from simulator.speculation.policies import Fixed
from simulator.trace.schema import FINISHED, ITERATIONS, OUTCOMES, REQUESTS, row_columns

GAMMA = 2


class Stand:
    """Replicas of one kind in one environment, with traces in memory."""

    def __init__(self, kind="ring", *, blocks=200, block_tokens=4, **limits):
        self.env = simpy.Environment()
        self.kind, self.blocks, self.block_tokens = kind, blocks, block_tokens
        self.limits = Limits(**({"max_num_seqs": 8, "max_batched_tokens": 64} | limits))
        self.requests = FakeTrace(row_columns(REQUESTS))
        self.iterations = FakeTrace(row_columns(ITERATIONS))
        self.caches, self.left = [], []

    def replica(self, **hooks):
        ring = self.kind == "ring"
        cache = KvCache(self.blocks * self.block_tokens, self.block_tokens)
        stepper = (
            EmissionRing(lookahead_tokens=GAMMA, block_tokens=self.block_tokens, max_rounds=64)
            if ring
            else SlotArray(
                block_tokens=self.block_tokens,
                max_rounds=64,
                lookahead_tokens=range(GAMMA + 1),
            )
        )
        self.caches.append(cache)
        return Replica(
            self.env,
            len(self.caches) - 1,
            costs=[FakeSteps(gamma=gamma) for gamma in ([GAMMA] if ring else range(GAMMA + 1))],
            limits=self.limits,
            cache=cache,
            queue=QUEUES.get("fcfs")(),
            stepper=stepper,
            policy=None if ring else Fixed(GAMMA),
            requests_trace=self.requests,
            iterations_trace=self.iterations,
            on_leave=self.left.append,
            **hooks,
        )

    def request(self, number, prompt=10, output=12, seed=0):
        runs = np.random.default_rng([seed, number]).integers(0, GAMMA + 1, output)
        trajectory = None
        if self.kind == "ring":
            (trajectory,) = lay_trajectories(
                runs,
                np.array([output]),
                np.array([prompt + 1]),
                np.array([output - 1]),
                lookahead_tokens=GAMMA,
                block_tokens=self.block_tokens,
            )
        return Request(number, 0.0, prompt, output, runs, trajectory)

    def all_is_back(self):
        return all(cache.free_blocks == cache.total_blocks for cache in self.caches)


@pytest.fixture(params=["ring", "slots"])
def kind(request):
    return request.param


def test_a_prefill_is_handed_over_and_decodes_elsewhere(kind):
    stand = Stand(kind)
    decoding = stand.replica()
    prefilling = stand.replica(hand_over=lambda request: moved.append((stand.env.now, request)))
    moved = []
    request = stand.request(0)
    prefilling.submit(request)
    assert prefilling.outstanding_tokens == 10 + 1  # the rest is not for this one to emit
    stand.env.run(until=5)
    assert moved == [(1.0, request)]
    assert stand.all_is_back()
    assert (prefilling.outstanding, prefilling.outstanding_tokens) == (0, 0)
    assert not stand.left
    decoding.expect(request)
    decoding.accept(request)
    assert (decoding.outstanding, decoding.outstanding_tokens) == (1, 12 - 1 + 1)
    stand.env.run()
    (row,) = stand.requests.rows
    row = dict(zip(stand.requests.columns, row, strict=True))
    assert (row["prefill_replica"], row["replica"], row["outcome"]) == (1, 0, FINISHED)
    assert (row["admitted_s"], row["first_token_s"]) == (0.0, 1.0)
    assert row["finish_s"] == 5.0 + row["rounds"]
    assert stand.iterations.column("emitted_tokens").sum() == 12
    assert stand.left == [request]
    assert stand.all_is_back()


def test_an_output_of_one_token_is_never_handed_over(kind):
    stand = Stand(kind)
    stand.replica(hand_over=pytest.fail).submit(stand.request(0, output=1))
    stand.env.run()
    assert [request.request_id for request in stand.left] == [0]


def test_a_request_on_its_way_counts_until_it_will_not_come(kind):
    stand = Stand(kind)
    decoding, request = stand.replica(), stand.request(0)
    request.prefilled_tokens = 10
    decoding.expect(request)
    stand.env.run()  # it sleeps meanwhile
    assert (decoding.outstanding, decoding.outstanding_tokens) == (1, 12)
    decoding.forgo(request)
    assert (decoding.outstanding, decoding.outstanding_tokens) == (0, 0)


def test_accepted_requests_wait_for_blocks(kind):
    stand = Stand(kind, blocks=10)  # of 4 tokens; each takes up to 6
    decoding = stand.replica()
    for number in range(4):
        request = stand.request(number)
        request.prefilled_tokens, request.admitted = 10, True
        request.admitted_s = request.first_token_s = 0.0
        decoding.expect(request)
        decoding.accept(request)
    stand.env.run()
    decoding, waiting = map(stand.iterations.column, ("decode_requests", "waiting_requests"))
    assert decoding.max() <= 3
    assert waiting[0] == 4 - decoding[0] > 0
    assert waiting[-1] == 0
    assert len(stand.left) == 4
    assert stand.all_is_back()


def test_what_never_fits_is_refused_by_both_doors(kind):
    stand = Stand(kind, blocks=2)
    replica = stand.replica()
    for door in (replica.submit, replica.accept):
        with pytest.raises(InvariantError, match="it would wait for ever"):
            door(stand.request(0))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=12),
    st.lists(st.floats(0.0, 25.0), min_size=1, max_size=4, unique=True),
    st.sampled_from(["ring", "slots"]),
    st.booleans(),
)
def test_requests_go_on_elsewhere_when_everything_is_lost(lengths, losses_s, kind, handed):
    """No token is emitted twice, no block is lost, and every request leaves once."""
    stand = Stand(kind, blocks=40, max_num_seqs=3)
    replicas = []

    def hand_over(request):  # to itself: a transfer that takes no time
        replicas[0].expect(request)
        replicas[0].accept(request)

    replicas.append(stand.replica(hand_over=hand_over if handed else None))
    replicas.append(stand.replica())
    for number, (prompt, output) in enumerate(lengths):
        replicas[0].submit(stand.request(number, prompt, output))

    def lose(index):
        for request in replicas[index % 2].evacuate():
            assert request.blocks == request.prefilled_tokens == 0
            replicas[1 - index % 2].submit(request)

    for index, time_s in enumerate(sorted(losses_s)):
        lost = stand.env.timeout(time_s)
        lost.callbacks.append(lambda _, index=index: lose(index))
    stand.env.run()
    assert sorted(request.request_id for request in stand.left) == list(range(len(lengths)))
    assert stand.iterations.column("emitted_tokens").sum() == sum(out for _, out in lengths)
    assert stand.all_is_back()
    assert [replica.outstanding for replica in replicas] == [0, 0]
    assert [replica.outstanding_tokens for replica in replicas] == [0, 0]


def test_a_step_that_is_lost_leaves_no_row(kind):
    stand = Stand(kind)
    replica = stand.replica()
    replica.submit(stand.request(0))
    stand.env.run(until=2.5)
    rows = len(stand.iterations.rows)
    (request,) = replica.evacuate()
    assert replica.evacuate() == []
    stand.env.run(until=9)
    assert len(stand.iterations.rows) == rows == 2
    emitted = stand.iterations.column("emitted_tokens").sum()
    assert request.emitted_tokens == emitted
    request.retries += 1
    replica.submit(request)
    stand.env.run()
    row = dict(zip(stand.requests.columns, stand.requests.rows[0], strict=True))
    assert (row["first_token_s"], row["admitted_s"], row["retries"]) == (1.0, 0.0, 1)
    assert row["recomputed_tokens"] == 10 + emitted
    assert OUTCOMES[row["outcome"]] == "finished"


def test_the_load_in_tokens_falls_as_they_are_served(kind):
    stand = Stand(kind, max_batched_tokens=24)
    replica = stand.replica()
    for number in range(3):
        replica.submit(stand.request(number, prompt=30, output=5))
    loads = []
    for time_s in range(1, 40):
        stand.env.run(until=time_s - 0.5)
        loads.append(replica.outstanding_tokens)
    assert loads[0] == 3 * 35
    assert all(later <= earlier for earlier, later in pairwise(loads))
    assert loads[1] == 3 * 35 - 24
    assert loads[-1] == 0
