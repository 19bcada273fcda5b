"""Replays: the oracle, what is brought, and how experts are ranked."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.experts.drafts import DraftView, memberships
from simulator.experts.pool import RoutePool
from simulator.experts.predictor import ExpertPredictor
from simulator.study.prefetch.question import LONG_TAIL
from simulator.study.prefetch.replay import Arm, Room, ranking, replay, windows
from simulator.study.prefetch.traces import drawn_traces

TRACES = drawn_traces(LONG_TAIL, 1, 32, 32, 0)
BLIND = ExpertPredictor(
    (np.zeros((1, 2, 3)), np.zeros((1, 3)), np.zeros((1, 3, 32)), np.zeros((1, 32))),
    1,
    32,
    1,
    DraftView(2, 0.0, 0),
)


def test_steps_do_not_reach_over_the_end_of_a_sequence():
    pool = RoutePool(2, np.zeros((1, 9, 1), np.uint8), np.array([5, 4]))
    assert windows(pool, 2).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]


def test_with_room_for_all_nothing_is_missed():
    found = replay(TRACES.before, TRACES.copies, 4, Room(30, 2), Arm())
    assert (found.coverage, found.no_stall, found.misses) == (1.0, 1.0, 0.0)
    assert 1.0 <= found.distinct <= 4.0


def test_nobody_beats_the_oracle_and_who_guesses_is_worse_than_on_demand():
    room = Room(8, 2)
    on_demand, oracle, guess = (
        replay(TRACES.before, TRACES.copies, 4, room, arm)
        for arm in (Arm(), Arm(oracle=True), Arm(BLIND))
    )
    assert oracle.misses < on_demand.misses < guess.misses
    assert on_demand.prefetched == 0.0
    assert guess.prefetched == 2.0  # slots are filled, come what may
    assert 0.0 < oracle.prefetched < 2.0  # with what is needed, and no more
    assert oracle.distinct == on_demand.distinct == guess.distinct


def test_ranks_are_those_of_chances_so_that_what_a_token_adds_to_all_logits_has_no_part():
    pool = TRACES.before
    picked = memberships(pool)[:, 0].astype(float)
    one, none = np.eye(32)[None], np.zeros((1, 32))
    knows = ExpertPredictor((5.0 * one, none, one, none), 1, 32, 1, DraftView(32, 0.0, 0))
    shift = np.random.default_rng(0).uniform(0.0, 50.0, size=(len(picked), 1))
    told = [
        ranking(replace(pool, features=features), TRACES.copies, replace(knows, recorded=True))
        for features in (picked, picked + shift)
    ]
    for ranks in told:
        assert ranks["head"] == pytest.approx(1.0)
        assert ranks["tail"] == pytest.approx(1.0)
