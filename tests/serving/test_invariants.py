"""The invariants of the serving core on random runs, with either stepper.

Caches are so small that requests lose their blocks again and again, blocks so short that they fill
within a round.
"""

import math
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, make_traits
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.kv_cache import KvCache
from simulator.serving.queues import QUEUES
from simulator.serving.replica import Replica
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.policies import Fixed
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.recorded import RecordedAcceptance
from simulator.speculation.regime import RegimeAcceptance
from simulator.trace.schema import FINISHED, REJECTED, TIMED_OUT

REQUESTS = st.lists(
    st.tuples(st.floats(0, 20), st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=25
)

ACCEPTANCES = st.one_of(
    st.floats(0, 1).map(lambda alpha: PositionAcceptance([alpha])),
    st.floats(0.1, 3).map(lambda spread: HeterogeneousAcceptance(0.6, spread, Candidates())),
    st.floats(2, 40).map(
        lambda tokens: RegimeAcceptance(
            RegimeConfig(alpha_high=0.9, alpha_low=0.2, high_tokens=tokens, low_tokens=9.0),
            Candidates(),
        )
    ),
    st.lists(st.integers(0, 6), min_size=4, max_size=4).map(
        lambda runs: RecordedAcceptance(np.array([1, 1, 1, 2]), np.arange(4), np.array(runs))
    ),
)
"""Draws told apart by round and in token time, with and without an effect of the request."""


class Wavering:
    """Runs through a list of draft lengths, over and over."""

    def __init__(self, gammas):
        self.gammas, self.asked = gammas, 0

    def decide(self, telemetry):
        self.asked += 1
        return self.gammas[self.asked % len(self.gammas)]


@st.composite
def scenarios(draw):
    """Draw a workload and what serves it."""
    requests = sorted(draw(REQUESTS))
    arrivals, prompts, outputs = (list(column) for column in zip(*requests, strict=True))
    gamma, block = draw(st.integers(0, 5)), draw(st.sampled_from([1, 3, 16]))
    tree = draw(st.just(()) | st.tuples(st.integers(1, 3), st.integers(1, 2)))
    steps = FakeSteps(gamma=gamma, step_s=0.05, request_s=1e-3, prompt_token_s=1e-3, tree=tree)
    max_num_seqs = draw(st.integers(1, 8))
    longest = max(p + o for p, o in zip(prompts, outputs, strict=True))
    longest += steps.query_tokens - 1 + block
    least_budget = max_num_seqs * steps.query_tokens
    return {
        "workload": FixedWorkload(
            arrivals, prompts, outputs, concurrency=draw(st.none() | st.integers(1, 6))
        ),
        "steps": steps,
        "acceptance": draw(ACCEPTANCES),
        "replicas": draw(st.integers(1, 3)),
        "max_num_seqs": max_num_seqs,
        "max_batched_tokens": least_budget + draw(st.integers(0, 60)),
        "recv_interval": draw(st.integers(1, 3)),
        "separate_prefill": draw(st.booleans()),
        "reserved_output": draw(st.sampled_from([0.0, 0.7, 1.0])),
        "block_tokens": block,
        "kv_capacity_tokens": int(longest * draw(st.floats(1, 3))),
    }


@st.composite
def impatient(draw):
    """Draw a scenario whose requests have tenants and priorities, and need not be served at all."""
    scenario = draw(scenarios())
    workload = scenario["workload"]
    count = workload.requests

    def column(elements):
        return draw(st.lists(elements, min_size=count, max_size=count))

    patience_s = st.just(math.inf) | st.floats(0.001, 8.0)
    workload.traits = make_traits(
        count,
        tenant=column(st.integers(0, 2)),
        priority=column(st.integers(0, 2)),
        cancel_after_s=column(patience_s),
    )
    max_queue = None if workload.concurrency else draw(st.none() | st.integers(1, 4))
    return scenario | {
        "queue": draw(st.sampled_from(list(QUEUES))),
        "max_queue": max_queue,
        "queue_timeout_s": draw(st.none() | st.floats(0.01, 3.0)),
    }


def serve(scenario, **settings):
    """Serve; return the bench, and the tokens prefilled for all requests when they left."""
    computed = []

    def remembered(self, request, *arguments):
        computed.append(request.computed_tokens)
        leave(self, request, *arguments)

    leave = Replica._leave
    with patch.object(Replica, "_leave", remembered):
        bench = Bench().run(**scenario, **settings)
    return bench, sum(computed)


def check(bench, computed_tokens, scenario):
    """Check the invariants of docs/architecture.md that one run can show."""
    check_requests(bench.requests, scenario["workload"])
    check_tokens(bench, computed_tokens, scenario)
    check_blocks(bench, scenario)
    check_steps(bench.iterations, scenario)


def check_requests(rows, workload):
    """INV-1 and INV-5: every request leaves, once; and effects follow causes."""
    assert sorted(rows.column("request_id")) == list(range(workload.requests))
    order = ["arrival_s", "admitted_s", "first_token_s", "finish_s"]
    times = [rows.column(name) for name in order]
    left_s, outcome = rows.column("left_s"), rows.column("outcome")
    for earlier, later in pairwise(times):
        assert not (earlier > later).any()  # NaN, for what never happened, compares false
        assert not (np.isnan(earlier) & ~np.isnan(later)).any()
    for time in times:
        assert not (time > left_s).any()
    emitted = rows.column("emitted_tokens")
    assert ((outcome == FINISHED) == ~np.isnan(times[-1])).all()
    assert (emitted[outcome == FINISHED] == rows.column("output_tokens")[outcome == FINISHED]).all()
    assert ((emitted > 0) == ~np.isnan(times[2])).all()
    unserved = (outcome == REJECTED) | (outcome == TIMED_OUT)
    assert np.isnan(times[1][unserved]).all()


def check_tokens(bench, computed_tokens, scenario):
    """INV-8: what steps emit and prefill is what requests got; a round emits 1 to gamma + 1."""
    done, steps = bench.requests, bench.iterations
    if not steps.rows:
        return
    assert steps.column("emitted_tokens").sum() == done.column("emitted_tokens").sum()
    assert steps.column("prefill_tokens").sum() == computed_tokens
    recomputed, finished = done.column("recomputed_tokens"), done.column("outcome") == FINISHED
    assert (recomputed[done.column("preemptions") == 0] == 0).all()
    if finished.all():
        assert computed_tokens == sum(scenario["workload"].prompt_tokens) + recomputed.sum()
    pure = steps.column("prefill_tokens") == 0
    batch, emitted = steps.column("decode_requests")[pure], steps.column("emitted_tokens")[pure]
    assert (batch <= emitted).all()
    assert (emitted <= batch * steps.column("query_tokens")[pure]).all()
    assert steps.column("query_tokens").max() <= scenario["steps"].query_tokens


def check_blocks(bench, scenario):
    """INV-4: the cache holds what decodes, drafts included, and never more than there is."""
    done, steps = bench.requests, bench.iterations
    if not steps.rows:
        return
    blocks = scenario["kv_capacity_tokens"] // scenario["block_tokens"]
    taken = steps.column("kv_usage") * blocks
    assert taken == pytest.approx(np.round(taken))
    assert taken.max() <= blocks * (1 + 1e-12)
    drafts = steps.column("decode_requests") * (steps.column("query_tokens") - 1)
    slots = steps.column("context_tokens") + drafts
    assert (slots <= np.round(taken) * scenario["block_tokens"]).all()
    if scenario["reserved_output"] == 1.0:
        assert done.column("preemptions").sum() == 0


def check_steps(steps, scenario):
    """INV-3 and INV-7: no step is empty, none beyond the limits, no clock runs back."""
    if not steps.rows:
        return
    assert steps.column("decode_requests").max() <= scenario["max_num_seqs"]
    queries = steps.column("decode_requests") * steps.column("query_tokens")
    tokens = queries + steps.column("prefill_tokens")
    assert tokens.max() <= scenario["max_batched_tokens"]
    assert tokens.min() > 0
    for replica in range(scenario["replicas"]):
        mine = steps.column("replica") == replica
        ends = (steps.column("start_s") + steps.column("duration_s"))[mine]
        assert (steps.column("start_s")[mine][1:] >= ends[:-1] - 1e-9).all()


@pytest.fixture(autouse=True)
def _all_blocks_come_back(monkeypatch):
    """INV-4: free and taken blocks are all there are, and all are free in the end."""
    caches = []

    def remembered(self, *arguments):
        caches.append(self)
        made(self, *arguments)

    made = KvCache.__init__
    monkeypatch.setattr(KvCache, "__init__", remembered)
    yield
    assert caches
    assert all(cache.free_blocks == cache.total_blocks for cache in caches)


@settings(max_examples=80)
@given(scenarios())
def test_a_fixed_draft_length(scenario):
    check(*serve(scenario), scenario)


@settings(max_examples=60)
@given(scenarios(), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_a_draft_length_that_changes_from_step_to_step(scenario, gammas):
    longest = scenario["steps"].gamma
    capped = [min(gamma, longest) for gamma in gammas]
    check(*serve(scenario, policy=lambda: Wavering(capped)), scenario)


@settings(max_examples=150)
@given(impatient(), st.lists(st.integers(0, 5), max_size=3))
def test_requests_that_need_not_be_served(scenario, gammas):
    """Rejected, timed out or cancelled anywhere, under any queue, with either stepper."""
    capped = [min(gamma, scenario["steps"].gamma) for gamma in gammas]
    policy = {"policy": lambda: Wavering(capped)} if capped else {}
    check(*serve(scenario, **policy), scenario)


@settings(max_examples=150)
@given(scenarios() | impatient())
def test_ring_and_slots_say_the_same_to_the_bit(scenario):
    """INV-11: at a fixed draft length both steppers leave the same trace."""
    ring = Bench().run(**scenario)
    slots = Bench().run(**scenario, policy=lambda: Fixed(scenario["steps"].gamma))
    assert repr(slots.requests.rows) == repr(ring.requests.rows)  # NaN equals nothing
    assert slots.iterations.rows == ring.iterations.rows
    assert slots.events == ring.events


def test_the_scenarios_here_preempt():
    """The equality above would mean little on runs that never lose a block."""
    workload = FixedWorkload([0.0] * 12, [30] * 12, [40] * 12)
    scenario = {
        "workload": workload,
        "steps": FakeSteps(gamma=3),
        "kv_capacity_tokens": 200,
        "block_tokens": 3,
    }
    ring = Bench().run(**scenario)
    slots = Bench().run(**scenario, policy=lambda: Fixed(3))
    assert ring.requests.column("preemptions").sum() > 5
    assert slots.requests.rows == ring.requests.rows


@given(scenarios())
def test_draft_length_zero_chosen_by_a_policy_is_plain_decoding(scenario):
    """INV-9: a policy that never drafts serves as if there were no speculation.

    Nothing is reserved for output: the policy might draft, so more would be kept free for it.
    """
    scenario |= {"reserved_output": 0.0}
    plain = scenario | {"steps": FakeSteps(step_s=0.05, request_s=1e-3, prompt_token_s=1e-3)}
    off = Bench().run(**scenario, policy=lambda: Fixed(0))
    assert off.requests.rows == Bench().run(**plain).requests.rows
