"""The invariants of the serving core on random runs, with either stepper.

Caches are so small that requests lose their blocks again and again, blocks so short that they fill
within a round.
"""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.kv_cache import KvCache
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.policies import Fixed
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.recorded import RecordedAcceptance
from simulator.speculation.regime import RegimeAcceptance

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


def check(bench, scenario):
    """Check the invariants of docs/architecture.md that one run can show."""
    workload = scenario["workload"]
    done, steps = bench.requests, bench.iterations
    # INV-1: every request finishes, once.
    assert sorted(done.column("request_id")) == list(range(workload.requests))
    # INV-5: causality.
    for earlier, later in [
        ("arrival_s", "admitted_s"),
        ("admitted_s", "first_token_s"),
        ("first_token_s", "finish_s"),
    ]:
        assert (done.column(earlier) <= done.column(later)).all()
    # INV-8: emitted = requested, prefilled = prompts and what preemptions cost.
    recomputed = done.column("recomputed_tokens")
    assert steps.column("emitted_tokens").sum() == sum(workload.output_tokens)
    assert steps.column("prefill_tokens").sum() == sum(workload.prompt_tokens) + recomputed.sum()
    assert (recomputed[done.column("preemptions") == 0] == 0).all()
    pure = steps.column("prefill_tokens") == 0
    batch, emitted = steps.column("decode_requests")[pure], steps.column("emitted_tokens")[pure]
    assert (batch <= emitted).all()
    assert (emitted <= batch * steps.column("query_tokens")[pure]).all()
    assert steps.column("query_tokens").max() <= scenario["steps"].query_tokens
    # INV-4: the cache holds what decodes, drafts included, and never more than there is.
    blocks = scenario["kv_capacity_tokens"] // scenario["block_tokens"]
    taken = steps.column("kv_usage") * blocks
    assert taken == pytest.approx(np.round(taken))
    assert taken.max() <= blocks * (1 + 1e-12)
    drafts = steps.column("decode_requests") * (steps.column("query_tokens") - 1)
    slots = steps.column("context_tokens") + drafts
    assert (slots <= np.round(taken) * scenario["block_tokens"]).all()
    if scenario["reserved_output"] == 1.0:
        assert done.column("preemptions").sum() == 0
    # The scheduler's limits.
    assert steps.column("decode_requests").max() <= scenario["max_num_seqs"]
    queries = steps.column("decode_requests") * steps.column("query_tokens")
    tokens = queries + steps.column("prefill_tokens")
    assert tokens.max() <= scenario["max_batched_tokens"]
    # INV-7: no step is empty, and INV-3: the clock of a replica never runs back.
    assert ((steps.column("decode_requests") > 0) | (steps.column("prefill_tokens") > 0)).all()
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
    check(Bench().run(**scenario), scenario)


@settings(max_examples=60)
@given(scenarios(), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_a_draft_length_that_changes_from_step_to_step(scenario, gammas):
    longest = scenario["steps"].gamma
    capped = [min(gamma, longest) for gamma in gammas]
    check(Bench().run(**scenario, policy=lambda: Wavering(capped)), scenario)


@settings(max_examples=120)
@given(scenarios())
def test_ring_and_slots_say_the_same_to_the_bit(scenario):
    """INV-11: at a fixed draft length both steppers leave the same trace."""
    ring = Bench().run(**scenario)
    slots = Bench().run(**scenario, policy=lambda: Fixed(scenario["steps"].gamma))
    assert slots.requests.rows == ring.requests.rows
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
