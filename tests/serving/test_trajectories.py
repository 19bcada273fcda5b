"""Trajectories: what each round emits, against a loop that anyone can check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.trajectories import (
    SPAN_TOKENS,
    draw_runs,
    lay_trajectories,
    runs_by_round,
    spans,
    unpack,
)
from simulator.speculation.acceptance import PositionAcceptance

outputs = st.lists(st.integers(1, 60), min_size=1, max_size=12)
rates = st.floats(0, 1)


def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def follow(output_tokens, gamma, alpha, *, prompt_tokens=100, block_tokens=16):
    """Trajectories of requests that enter decode with their first output token."""
    lengths = np.array(output_tokens)
    runs = draw_runs(lengths, gamma, PositionAcceptance([alpha]), generator())
    prompts = np.broadcast_to(prompt_tokens, lengths.shape)
    return lay_trajectories(
        runs, lengths, prompts + 1, lengths - 1, lookahead_tokens=gamma, block_tokens=block_tokens
    )


def emitted_by(laid):
    """Return the tokens by round."""
    return [unpack(cell)[0] for cell in laid.cells.tolist()]


def by_hand(output_tokens, gamma, alpha, prompt_tokens, block_tokens):
    """Walk through every request, round by round."""
    acceptance = PositionAcceptance([alpha])
    uniforms = generator().random(sum(output_tokens))
    runs = acceptance.accepted(uniforms, gamma)
    position, walked = 0, []
    for output, prompt in zip(output_tokens, prompt_tokens, strict=True):
        left, cells, accepted, index = output - 1, [], 0, position
        context, held = prompt + 1, -(-prompt // block_tokens)
        while left > 0:
            drafts = int(runs[index])
            needed = -(-(context + gamma) // block_tokens)
            cells.append((min(drafts + 1, left), needed - held))
            context, held = context + drafts + 1, needed
            accepted += drafts
            left -= drafts + 1
            index += 1
        walked.append((cells, accepted, held))
        position += output
    return walked


@given(outputs, st.integers(0, 8), rates, st.integers(1, 20), st.data())
def test_trajectories_equal_the_round_by_round_walk(output_tokens, gamma, alpha, block, data):
    many = len(output_tokens)
    prompts = data.draw(st.lists(st.integers(1, 90), min_size=many, max_size=many))
    laid = follow(output_tokens, gamma, alpha, prompt_tokens=prompts, block_tokens=block)
    walked = by_hand(output_tokens, gamma, alpha, prompts, block)
    for trajectory, (cells, accepted, held) in zip(laid, walked, strict=True):
        assert [unpack(cell) for cell in trajectory.cells.tolist()] == cells
        assert trajectory.accepted == accepted
        assert not cells or trajectory.blocks == held


@given(outputs, st.integers(0, 8), rates)
def test_every_request_emits_exactly_what_prefill_leaves(output_tokens, gamma, alpha):
    for output, laid in zip(output_tokens, follow(output_tokens, gamma, alpha), strict=True):
        emitted = emitted_by(laid)
        assert sum(emitted) == output - 1
        assert all(1 <= tokens <= gamma + 1 for tokens in emitted)


def test_sure_acceptance_emits_full_rounds_and_none_single_tokens():
    (sure,), (never,) = follow([21], 3, 1.0), follow([21], 3, 0.0)
    assert emitted_by(sure) == [4] * 5
    assert emitted_by(never) == [1] * 20


@given(outputs, st.integers(1, 6))
def test_longer_drafts_use_the_same_draws(output_tokens, gamma):
    """Uncapped run lengths are common: a round accepts min(L, gamma) at every gamma."""
    for short, long in zip(
        follow(output_tokens, gamma, 0.7), follow(output_tokens, gamma + 1, 0.7), strict=True
    ):
        assert len(long.cells) <= len(short.cells)
        common = max(0, len(long.cells) - 1)
        capped = [min(tokens, gamma + 1) for tokens in emitted_by(long)[:common]]
        assert emitted_by(short)[:common] == capped


@given(st.lists(st.integers(1, 2 * SPAN_TOKENS), min_size=1, max_size=20))
def test_spans_cover_a_block_in_bounded_pieces(output_tokens):
    lengths = np.array(output_tokens)
    pieces = [lengths[span] for span in spans(lengths)]
    assert np.concatenate(pieces).tolist() == output_tokens
    assert all(piece.sum() <= SPAN_TOKENS or len(piece) == 1 for piece in pieces)


@pytest.mark.parametrize("gamma", [0, 3])
def test_drawing_in_pieces_changes_nothing(gamma):
    lengths, acceptance = np.array([40, 7, 19, 60]), PositionAcceptance([0.6])
    whole = draw_runs(lengths, gamma, acceptance, generator())
    shared = generator()
    pieces = [draw_runs(part, gamma, acceptance, shared) for part in np.split(lengths, 2)]
    assert whole.tolist() == np.concatenate(pieces).tolist()


@given(outputs, st.integers(0, 8), rates)
def test_in_token_time_a_round_takes_the_draw_of_where_it_starts(output_tokens, gamma, alpha):
    """Against a walk: with 1 + i tokens out, the run is draw i of the request."""
    lengths = np.array(output_tokens)
    runs = draw_runs(lengths, gamma, PositionAcceptance([alpha]), generator())
    taken, rounds = runs_by_round(runs, lengths, lengths - 1)
    expected, counts, first = [], [], 0
    for output in output_tokens:
        out, before = 1, len(expected)
        while out < output:
            expected.append(int(runs[first + out - 1]))
            out += expected[-1] + 1
        if output == 1:  # never decodes, but owns a draw
            expected.append(int(runs[first]))
        counts.append(len(expected) - before)
        first += output
    assert taken.tolist() == expected
    assert rounds.tolist() == counts
