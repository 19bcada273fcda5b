"""Trajectories: what each round emits, against a loop that anyone can check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.trajectories import SPAN_TOKENS, draw_trajectories, spans
from simulator.speculation.acceptance import PositionAcceptance

outputs = st.lists(st.integers(1, 60), min_size=1, max_size=12)
rates = st.floats(0, 1)


def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def by_hand(output_tokens, gamma, acceptance, uniforms):
    """Walk through every request, round by round."""
    runs = acceptance.accepted(uniforms, gamma)
    position, walked = 0, []
    for output in output_tokens:
        left, emitted, accepted, index = output - 1, [], 0, position
        while left > 0:
            drafts = int(runs[index])
            emitted.append(min(drafts + 1, left))
            accepted += drafts
            left -= drafts + 1
            index += 1
        walked.append((emitted, accepted))
        position += output
    return walked


@given(outputs, st.integers(1, 8), rates)
def test_trajectories_equal_the_round_by_round_walk(output_tokens, gamma, alpha):
    acceptance = PositionAcceptance([alpha])
    lengths = np.array(output_tokens)
    drawn = draw_trajectories(lengths, gamma, acceptance, generator())
    walked = by_hand(output_tokens, gamma, acceptance, generator().random(sum(output_tokens)))
    for index, (emitted, accepted) in enumerate(walked):
        start, rounds = drawn.starts[index], drawn.rounds[index]
        assert drawn.emitted[start : start + rounds].tolist() == emitted
        assert drawn.accepted[index] == accepted


@given(outputs, st.integers(0, 8), rates)
def test_every_request_emits_exactly_what_prefill_leaves(output_tokens, gamma, alpha):
    lengths = np.array(output_tokens)
    drawn = draw_trajectories(lengths, gamma, PositionAcceptance([alpha]), generator())
    for output, start, rounds in zip(output_tokens, drawn.starts, drawn.rounds, strict=True):
        emitted = drawn.emitted[start : start + rounds]
        assert emitted.sum() == output - 1
        assert all(1 <= tokens <= gamma + 1 for tokens in emitted)


def test_sure_acceptance_emits_full_rounds_and_none_single_tokens():
    lengths = np.array([21])
    sure = draw_trajectories(lengths, 3, PositionAcceptance([1.0]), generator())
    never = draw_trajectories(lengths, 3, PositionAcceptance([0.0]), generator())
    assert sure.emitted[: sure.rounds[0]].tolist() == [4] * 5
    assert never.emitted[: never.rounds[0]].tolist() == [1] * 20


@given(outputs, st.integers(1, 6))
def test_longer_drafts_use_the_same_draws(output_tokens, gamma):
    """Uncapped run lengths are common: a round accepts min(L, gamma) at every gamma."""
    lengths, acceptance = np.array(output_tokens), PositionAcceptance([0.7])
    short = draw_trajectories(lengths, gamma, acceptance, generator())
    long = draw_trajectories(lengths, gamma + 1, acceptance, generator())
    for index in range(len(output_tokens)):
        assert long.rounds[index] <= short.rounds[index]
        common = max(0, long.rounds[index] - 1)
        start = short.starts[index]
        assert start == long.starts[index]
        capped = np.minimum(long.emitted[start : start + common], gamma + 1)
        assert short.emitted[start : start + common].tolist() == capped.tolist()


@given(st.lists(st.integers(1, 2 * SPAN_TOKENS), min_size=1, max_size=20))
def test_spans_cover_a_block_in_bounded_pieces(output_tokens):
    lengths = np.array(output_tokens)
    pieces = [lengths[span] for span in spans(lengths)]
    assert np.concatenate(pieces).tolist() == output_tokens
    assert all(piece.sum() <= SPAN_TOKENS or len(piece) == 1 for piece in pieces)


@pytest.mark.parametrize("gamma", [0, 3])
def test_drawing_in_pieces_changes_nothing(gamma):
    lengths, acceptance = np.array([40, 7, 19, 60]), PositionAcceptance([0.6])
    whole = draw_trajectories(lengths, gamma, acceptance, generator())
    shared = generator()
    pieces = [draw_trajectories(part, gamma, acceptance, shared) for part in np.split(lengths, 2)]
    assert whole.rounds == pieces[0].rounds + pieces[1].rounds
    assert whole.accepted == pieces[0].accepted + pieces[1].accepted
