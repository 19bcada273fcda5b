"""Draft/verify trajectories: what each round of each request emits, and the cache it takes.

The accepted-run lengths of a request are drawn when it arrives, one uniform per possible round: the
draws depend on its output length, never on the draft length. At a fixed draft length they fix the
whole decode of the request, its *trajectory*. Tokens beyond the requested output are cut from the
last round, as an engine cuts them at the stop condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.acceptance import Acceptance

SPAN_TOKENS = 1 << 16
"""Output tokens drawn at once at most: bounds memory for long outputs, and stays in the cache."""

Counts = NDArray[np.int64]

BLOCKS_SHIFT = 32
"""A cell of a trajectory holds tokens below this bit and KV blocks from it on.

So one addition and one look-up serve both. Sums stay apart: a step emits less than 4 G tokens.
"""

TOKENS_MASK = (1 << BLOCKS_SHIFT) - 1


class Trajectory(NamedTuple):
    """The decode of a request, from where it enters it.

    Parameters
    ----------
    cells
        By round the tokens it emits and the KV blocks taken for it, packed (`unpack`):
        int64[rounds].
    accepted
        Drafted tokens accepted over the rounds, those cut at the end included.
    blocks
        KV blocks held in the last round.
    """

    cells: Counts
    accepted: int
    blocks: int


def unpack(cells: int) -> tuple[int, int]:
    """Return the tokens and the KV blocks of a cell, or of a sum of cells.

    Examples
    --------
    >>> unpack((2 << BLOCKS_SHIFT) + 5 + (1 << BLOCKS_SHIFT) + 1)
    (6, 3)
    """
    return cells & TOKENS_MASK, cells >> BLOCKS_SHIFT


def spans(output_tokens: Counts) -> Iterator[slice]:
    """Split a block into runs of at most `SPAN_TOKENS` output tokens, one request at least.

    So draws stay in bounded memory. Where a block is split depends on its output lengths alone, so
    that all draft lengths see the same draws.

    Examples
    --------
    >>> list(spans(np.array([5, SPAN_TOKENS, 7])))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    start, total = 0, 0
    for index, tokens in enumerate(output_tokens.tolist()):
        if total and total + tokens > SPAN_TOKENS:
            yield slice(start, index)
            start, total = index, 0
        total += tokens
    yield slice(start, len(output_tokens))


def draw_runs(
    output_tokens: Counts, gamma: int, acceptance: Acceptance, generator: np.random.Generator
) -> Counts:
    """Draw the accepted-run lengths of consecutive requests.

    Parameters
    ----------
    output_tokens
        Requested output lengths, each >= 1. A request owns as many draws: enough for one token a
        round.
    gamma
        Longest draft; runs are capped there, the draws are not.
    acceptance
        Draws run lengths.
    generator
        Where randomness comes from; not touched when gamma is 0.

    Returns
    -------
    ndarray
        int64[sum(output_tokens)], one request after another.
    """
    draws = int(output_tokens.sum())
    if gamma == 0:
        return np.zeros(draws, np.int64)
    return acceptance.draw(output_tokens, gamma, generator)


def runs_by_round(runs: Counts, draws: Counts, decode_tokens: Counts) -> tuple[Counts, Counts]:
    """Pick the runs that requests come by whose draws are told apart in token time.

    The first round of a request takes its first draw; one that takes draw i and emits t tokens is
    followed by a round that takes draw i + t.

    Parameters
    ----------
    runs, draws, decode_tokens
        As in `lay_trajectories`, but with a draw for every token.

    Returns
    -------
    runs, rounds
        The draws taken, in the order of the rounds, and how many of them each request owns, at
        least one: int64[sum(rounds)], int64[requests]. O(rounds): some 40 ns per token, as many as
        vectorised pointer jumping takes.
    """
    starts = np.cumsum(draws) - draws
    steps = (runs + 1).astype(np.uint8).tobytes()
    taken: list[int] = []
    rounds = []
    for start, end in zip(starts.tolist(), (starts + decode_tokens).tolist(), strict=True):
        before = len(taken)
        taken.append(start)
        at = start + steps[start]
        while at < end:
            taken.append(at)
            at += steps[at]
        rounds.append(len(taken) - before)
    return runs[taken], np.array(rounds)


def lay_trajectories(
    runs: Counts,
    draws: Counts,
    context_tokens: Counts,
    decode_tokens: Counts,
    *,
    lookahead_tokens: int,
    block_tokens: int,
) -> list[Trajectory]:
    """Follow requests through their decode at a fixed draft length.

    A round needs KV slots for the context and the draft, ``ceil((context + lookahead) / block)``
    blocks, where the context counts the token that is fed in. Blocks once taken are kept.

    Parameters
    ----------
    runs
        Accepted-run lengths up to the draft length, round by round, one request after another:
        int64[sum(draws)].
    draws
        How many of them each request owns: enough to emit ``decode_tokens``, and at least one.
    context_tokens
        Tokens of each request when it enters decode: those prefilled, whose blocks it holds, and
        the one that prefill emitted.
    decode_tokens
        Tokens that each has yet to emit, each >= 0.
    lookahead_tokens
        Tokens of the draft that take KV slots: its length, or the nodes of a tree.
    block_tokens
        Tokens of a KV block.

    Returns
    -------
    list of Trajectory
        In O(sum of draws), vectorised.
    """
    starts = np.cumsum(draws) - draws
    # 32 bits hold what a span emits and any context, and halve the time of the passes below.
    emitted = runs.astype(np.int32)
    emitted += 1
    after = np.cumsum(emitted, dtype=np.int32)
    before = after[starts] - emitted[starts]
    # A request stops at the round in which its own running sum reaches the tokens it decodes.
    last = np.searchsorted(after, (before + decode_tokens).astype(np.int32))
    excess = after[last] - before - decode_tokens
    blocks = after - emitted
    offset = (context_tokens - before + (lookahead_tokens + block_tokens - 1)).astype(np.int32)
    blocks += np.repeat(offset, draws)
    blocks //= block_tokens
    cells = np.empty(len(blocks), np.int64)
    np.subtract(blocks[1:], blocks[:-1], out=cells[1:])
    cells[starts] = blocks[starts] - -(-(context_tokens - 1) // block_tokens)
    cells <<= BLOCKS_SHIFT
    cells += emitted
    live = decode_tokens > 0
    rounds = np.where(live, last + 1 - starts, 0)
    cells[last[live]] -= excess[live]
    accepted = np.where(live, decode_tokens + excess - rounds, 0)
    columns = zip(
        starts.tolist(),
        (starts + rounds).tolist(),
        accepted.tolist(),
        blocks[last].tolist(),
        strict=True,
    )
    return [Trajectory(cells[start:end], count, held) for start, end, count, held in columns]
