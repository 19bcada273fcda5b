"""The odds of prefetching: closed forms against the prices and draws that they stand for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.costs.offload import ExpertTransfers
from simulator.experts.config import OffloadConfig
from simulator.experts.drafts import DraftView
from simulator.experts.offload import Transfers
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.sampling import Archetype
from simulator.study.prefetch.replay import Room
from simulator.study.prefetch.theory import (
    Odds,
    count_hits,
    distinct_alike,
    exposed_share,
    foretold,
    kept_hits,
    step_chances,
)
from simulator.study.prefetch.traces import drawn_traces, expert_copies

EXPERTS = 12
ALIKE = Archetype(experts=EXPERTS, top_k=1)


@settings(max_examples=50)
@given(st.integers(2, 60), st.integers(1, 8), st.floats(1e-6, 1e-2), st.floats(0.0, 1.0))
def test_what_is_exposed_is_what_a_step_is_charged_for(layers, slots, expert_s, step_s):
    priced = ExpertTransfers(OffloadConfig(resident_experts=1), ALIKE, layers, expert_s)
    full = np.full(layers, slots)
    nothing = np.zeros(layers, dtype=np.int64)
    stall_s = priced.stall_s(Transfers(nothing, full, full), step_s)
    found = exposed_share(layers, slots, expert_s, step_s)
    assert found * layers * slots * expert_s == pytest.approx(stall_s, abs=1e-12)


@settings(max_examples=25)
@given(st.floats(0.01, 0.99), st.integers(1, 5), st.integers(1, 5))
def test_of_experts_all_alike_what_is_kept_is_needed_with_chance_n_over_e(chance, resident, slots):
    chances = np.full((2, EXPERTS), chance)
    assert kept_hits(chances, Room(resident, slots)) == pytest.approx(chance, abs=1e-6)


def test_distinct_experts_are_those_that_draws_touch():
    pool = drawn_traces(ALIKE, 1, 400, 32, 0).learned
    chances = step_chances(pool, 4, 3)
    assert chances.sum() == pytest.approx(distinct_alike(EXPERTS, 1, 12), rel=0.02)


def test_a_predictor_that_knows_hits_always_and_one_that_guesses_as_often_as_experts_are_needed():
    pool = drawn_traces(ALIKE, 1, 64, 32, 0).learned
    copies, room, view = expert_copies(pool), Room(3, 2), DraftView(EXPERTS, 0.0, 0)
    one, none = np.eye(EXPERTS)[None], np.zeros((1, EXPERTS))
    directions = view.features(pool).reshape(-1, EXPERTS)
    codes = np.stack([directions[pool.chosen[0, :, 0] == expert][0] for expert in range(EXPERTS)])
    decode = 40.0 * np.linalg.inv(codes)[None]
    knows = ExpertPredictor((decode, none, one, none), 1, EXPERTS, 1, view)
    guesses = ExpertPredictor((0.0 * one, none, one, none), 1, EXPERTS, 1, view)
    hits = count_hits(pool, copies, 4, room, {"knows": knows, "guesses": guesses}, 2)
    # A step of 8 tokens needs 6 of 12, of which 3 are there: two at least are to be brought mostly.
    assert hits.prefetched["knows"] > 0.9
    needed = distinct_alike(EXPERTS, 1, 8) / EXPERTS
    assert hits.prefetched["guesses"] == pytest.approx(needed, abs=0.1)
    assert hits.kept == pytest.approx(needed, abs=0.05)  # as the closed form has it


@settings(max_examples=50)
@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=6))
def test_what_is_foretold_lies_where_margins_turn(margins):
    batches = [2**power for power in range(len(margins))]
    at = foretold(margins, batches)
    if at is None:
        assert margins[-1] > 0
        return
    assert 1 <= at <= batches[-1]
    assert all(margin <= 0 for margin, batch in zip(margins, batches, strict=True) if batch > at)


def test_a_margin_is_hits_less_what_is_kept_and_what_is_exposed():
    odds = Odds(
        batch=1, distinct=4.0, alike=5.0, kept=0.4, independent=0.3, exposed=0.1, hits={"ce": 0.7}
    )
    assert odds.margin("ce") == pytest.approx(0.2)
