"""Draws told apart in token time: a preempted request goes on where its text is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.request import Request
from simulator.serving.ring import EmissionRing
from simulator.serving.slots import SlotArray
from simulator.serving.trajectories import lay_trajectories, runs_by_round

GAMMA, PROMPT = 3, 10


def ring(output, runs):
    """A ring, and a request that brings its trajectory."""
    lengths = np.array([output])
    (trajectory,) = lay_trajectories(
        *runs_by_round(runs, lengths, lengths - 1),
        np.array([PROMPT + 1]),
        lengths - 1,
        lookahead_tokens=GAMMA,
        block_tokens=4,
    )
    stepper = EmissionRing(lookahead_tokens=GAMMA, block_tokens=4, max_rounds=output, by_token=True)
    return stepper, Request(0, 0.0, PROMPT, output, runs, trajectory)


def slots(output, runs):
    """A slot array, and a request."""
    stepper = SlotArray(
        block_tokens=4, max_rounds=output, lookahead_tokens=range(GAMMA + 1), by_token=True
    )
    return stepper, Request(0, 0.0, PROMPT, output, runs, None)


def step(stepper):
    stepper.blocks_needed(GAMMA)
    return stepper.advance(GAMMA)


@pytest.mark.parametrize("make", [ring, slots])
@given(runs=st.lists(st.integers(0, GAMMA), min_size=2, max_size=30), before=st.data())
def test_a_round_takes_the_draw_of_where_the_text_is_after_a_preemption_too(make, runs, before):
    """INV-12 in token time: with 1 + i tokens out the run is draw i, whatever happened before."""
    runs, output = np.array(runs), len(runs)
    evictions = before.draw(st.sets(st.integers(1, 8)))
    stepper, request = make(output, runs)
    out, rounds, accepted, finished = 1, 0, 0, ()
    stepper.enter(request)
    while out < output:
        expected = int(runs[out - 1])
        emitted, finished = step(stepper)
        assert emitted == min(expected + 1, output - out)
        out, rounds, accepted = out + emitted, rounds + 1, accepted + expected
        if rounds in evictions and out < output - 1:
            assert stepper.residents()[-1] is request
            stepper.evict(request)
            request.set_back()
            out += 1  # the prefill to come emits a token
            stepper.enter(request)
    assert list(finished) == [request]
    assert (request.rounds, request.accepted) == (rounds, accepted)
