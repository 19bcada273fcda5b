"""The slot array: decode steps whose draft length may change from one to the next.

The state of the decoding requests stands in columns of one array, in the order in which they came
to decode. A step is a few vectorised operations over it: O(batch), some 10 us up to a hundred
requests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.serving.request import Request

CONTEXT, LEFT, BLOCKS, DRAW, FIRST, ENTERED = range(6)
"""Rows of the state: tokens now, output tokens left, KV blocks, next draw; tokens and step of the
array when the request came."""


class SlotArray:
    """Decoding requests with a draft length that is chosen step by step (`stepper.Stepper`).

    Parameters
    ----------
    block_tokens
        Tokens of a KV block.
    max_rounds
        Upper bound of the decode rounds of one request.
    lookahead_tokens
        By draft length from 0 on the tokens of a draft, which take KV slots: as many, or the nodes
        of a tree.
    by_token
        Whether draws are told apart in token time (`speculation.acceptance.Acceptance`).
    """

    def __init__(
        self,
        *,
        block_tokens: int,
        max_rounds: int,
        lookahead_tokens: Sequence[int],
        by_token: bool = False,
    ) -> None:
        self.requests = 0
        self.context_tokens = 0
        self.accepted = np.empty(0, np.int64)
        self._block_tokens = block_tokens
        self._max_rounds = max_rounds
        self._lookahead_tokens = lookahead_tokens
        self._by_token = by_token
        self._step = 0
        self._residents: list[Request] = []
        self._free_rows: list[int] = []
        self._longest_tokens = 0
        self._state = np.empty((6, 0), np.int64)
        self._runs = np.empty((0, max_rounds), np.int8)
        self._planned, self._planned_blocks = self._state[BLOCKS], 0
        self._held_blocks = 0
        self._view()

    def enter(self, request: Request) -> None:
        """Give a request a column, and its draws a row."""
        if not self._free_rows:
            self._grow()
        row, column = self._free_rows.pop(), self.requests
        runs = request.runs_left(by_token=self._by_token)
        self._runs[row, : len(runs)] = runs
        context_tokens = request.prefill_tokens + 1
        self._state[:, column] = (
            context_tokens,
            request.prompt_tokens + request.output_tokens - context_tokens,
            request.blocks,
            row * self._max_rounds,
            context_tokens,
            self._step,
        )
        self._held_blocks += request.blocks
        self._residents.append(request)
        self.requests += 1
        self.context_tokens += context_tokens
        self._view()

    def blocks_needed(self, gamma: int) -> int:
        """Return the KV blocks that the coming step takes; no request gives any back."""
        lookahead_tokens = self._lookahead_tokens[gamma]
        planned = self._context + (lookahead_tokens + self._block_tokens - 1)
        planned //= self._block_tokens
        if lookahead_tokens < self._longest_tokens:  # a longer draft may have left more
            np.maximum(planned, self._blocks, out=planned)
        else:
            self._longest_tokens = lookahead_tokens
        self._planned, self._planned_blocks = planned, int(planned.sum())
        return self._planned_blocks - self._held_blocks

    def advance(self, gamma: int) -> tuple[int, Sequence[Request]]:
        """Commit a step in O(batch)."""
        accepted = np.minimum(self._draws.take(self._draw), gamma, dtype=np.int64)
        emitted = accepted + 1
        np.minimum(emitted, self._left, out=emitted)
        self._context += emitted
        self._left -= emitted
        self._draw += emitted if self._by_token else 1
        self._step += 1
        self._blocks[:] = self._planned
        self._held_blocks = self._planned_blocks
        self.accepted = accepted
        tokens = int(emitted.sum())
        self.context_tokens += tokens
        if self._left.all():
            return tokens, ()
        return tokens, self._release(self._left == 0, accepted + 1 - emitted)

    def residents(self) -> Sequence[Request]:
        """Return the decoding requests in the order in which they came."""
        return self._residents

    def evict(self, request: Request) -> None:
        """Take out a request's column."""
        leaving = np.zeros(self.requests, np.bool_)
        column = self._residents.index(request)
        leaving[column] = True
        request.prefill_tokens = int(self._context[column])
        self._release(leaving, np.zeros(self.requests, np.int64))

    def _release(self, leaving: NDArray[np.bool_], cut: NDArray[np.int64]) -> Sequence[Request]:
        """Close the columns of requests that leave, and tell these what they did.

        ``cut`` counts the tokens of the last round beyond the output that was asked for; what a
        request accepted are the tokens of its rounds, cut ones included, less one a round.
        """
        columns = np.flatnonzero(leaving).tolist()
        left = [self._residents[column] for column in columns]
        for request, column in zip(left, columns, strict=True):
            context_tokens, _, blocks, draw, first, entered = self._state[:, column].tolist()
            self._free_rows.append(draw // self._max_rounds)
            rounds = self._step - entered
            request.blocks = blocks
            request.rounds += rounds
            request.accepted += context_tokens - first + int(cut[column]) - rounds
            self.context_tokens -= context_tokens
            self._held_blocks -= blocks
        staying = self._state[:, : self.requests][:, ~leaving]
        self.requests -= len(left)
        self._state[:, : self.requests] = staying
        for column in reversed(columns):
            del self._residents[column]
        self._view()
        return left

    def _grow(self) -> None:
        """Double the columns and rows."""
        held = self._state.shape[1]
        more = max(held, 8)
        self._state = np.concatenate([self._state, np.zeros((6, more), np.int64)], axis=1)
        self._runs = np.concatenate([self._runs, np.zeros((more, self._max_rounds), np.int8)])
        self._free_rows.extend(range(held, held + more))

    def _view(self) -> None:
        """Name the live part of each row of the state."""
        live = self._state[:, : self.requests]
        self._context, self._left, self._blocks, self._draw, *_ = live
        self._draws = self._runs.ravel()
