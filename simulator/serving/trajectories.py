"""Draft/verify trajectories: how many tokens each round of each request emits.

A request's whole decode is drawn when it arrives, from one uniform per possible round: the draws
depend on its output length, never on the draft length. Tokens beyond the requested output are cut
from the last round, as an engine cuts them at the stop condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.acceptance import Acceptance

SPAN_TOKENS = 1 << 16
"""Output tokens drawn at once at most: bounds memory for long outputs, and stays in the cache."""


@dataclass(frozen=True, slots=True)
class Trajectories:
    """The decode trajectories of consecutive requests.

    Parameters
    ----------
    rounds
        Rounds per request: int list. The first output token comes from prefill, so a request of n
        output tokens decodes n - 1.
    accepted
        Drafted tokens accepted over a request's rounds, those cut at its end included.
    emitted
        Tokens by round of all requests, one after another: int64[sum(rounds)].
    starts
        Where each request's rounds start in ``emitted``.
    """

    rounds: list[int]
    accepted: list[int]
    emitted: NDArray[np.int64]
    starts: list[int]


def spans(output_tokens: NDArray[np.int64]) -> Iterator[slice]:
    """Split a block into runs of at most `SPAN_TOKENS` output tokens, one request at least.

    Draws of consecutive runs from one generator are those of the whole block, in bounded memory.

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


def draw_trajectories(
    output_tokens: NDArray[np.int64],
    gamma: int,
    acceptance: Acceptance,
    generator: np.random.Generator,
) -> Trajectories:
    """Draw the trajectories of consecutive requests.

    Parameters
    ----------
    output_tokens
        Requested output lengths, each >= 1.
    gamma
        Draft length; 0 emits one token a round.
    acceptance
        Maps uniforms to uncapped accepted-run lengths.
    generator
        Where the uniforms come from; advanced by ``sum(output_tokens)`` draws when gamma > 0.

    Returns
    -------
    Trajectories
        In O(sum of output lengths), vectorised.
    """
    decode = output_tokens - 1
    if gamma == 0:
        ones = np.ones(int(decode.sum()), np.int64)
        starts = np.cumsum(decode) - decode
        return Trajectories(decode.tolist(), [0] * len(decode), ones, starts.tolist())
    uniforms = generator.random(int(output_tokens.sum()))
    emitted = acceptance.accepted(uniforms, gamma) + 1
    after = np.cumsum(emitted)
    # Every request owns `output_tokens` draws, enough for one token a round; it stops at the round
    # in which its own running sum reaches the tokens it decodes.
    starts = np.cumsum(output_tokens) - output_tokens
    before = after[starts] - emitted[starts]
    last = np.searchsorted(after, before + decode)
    live = decode > 0
    rounds = np.where(live, last + 1 - starts, 0)
    accepted = np.where(live, after[last] - before - rounds, 0)
    emitted[last[live]] -= (after[last] - before - decode)[live]
    return Trajectories(rounds.tolist(), accepted.tolist(), emitted, starts.tolist())
