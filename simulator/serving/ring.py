"""The emission ring: decode steps that take O(1) in the batch size, at a fixed draft length.

The ring has one cell per coming decode step. A request that enters decode adds its whole trajectory
to the cells of the steps that it will take part in: every resident takes part in every step. So a
step reads one cell. A request that is preempted takes the rest of its trajectory out again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from simulator.errors import InvariantError
from simulator.serving.request import Request
from simulator.serving.trajectories import (
    BLOCKS_SHIFT,
    TOKENS_MASK,
    Counts,
    Trajectory,
    lay_trajectories,
    runs_by_round,
    unpack,
)


class EmissionRing:
    """Decoding requests at a fixed draft length (`stepper.Stepper`).

    Parameters
    ----------
    lookahead_tokens
        Tokens of a draft, which take KV slots: its length, or the nodes of a tree.
    block_tokens
        Tokens of a KV block.
    max_rounds
        Upper bound of the decode rounds of one request; sizes the ring.
    by_token
        Whether draws are told apart in token time (`speculation.acceptance.Acceptance`).
    """

    def __init__(
        self, *, lookahead_tokens: int, block_tokens: int, max_rounds: int, by_token: bool = False
    ) -> None:
        self.requests = 0
        self.context_tokens = 0
        self.accepted = np.empty(0, np.int64)
        self._lookahead_tokens = lookahead_tokens
        self._by_token = by_token
        self._block_tokens = block_tokens
        self._round = 0
        self._ring = np.zeros(1 << max_rounds.bit_length(), np.int64)
        self._cells = self._ring.data  # the same cells, one by one at a third of the time
        self._cell = 0
        self._mask = len(self._ring) - 1
        self._ends: defaultdict[int, list[Request]] = defaultdict(list)
        self._last_round: dict[Request, int] = {}

    def enter(self, request: Request) -> None:
        """Lay the trajectory of a request on the ring."""
        if request.trajectory is None:
            request.trajectory = self._rest(request)
        cells = request.trajectory.cells
        last = self._round + len(cells) - 1
        self._ends[last].append(request)
        self._last_round[request] = last
        self.requests += 1
        self.context_tokens += request.prefill_tokens + 1
        self._add(cells)

    def blocks_needed(self, gamma: int) -> int:
        """Return the KV blocks that the coming step takes; ``gamma`` is always the same."""
        self._cell = cell = self._cells[self._round & self._mask]
        return cell >> BLOCKS_SHIFT

    def advance(self, gamma: int) -> tuple[int, Sequence[Request]]:
        """Commit a step in O(1), and O(1) per request that it finishes."""
        this_round = self._round
        self._cells[this_round & self._mask] = 0
        emitted = self._cell & TOKENS_MASK
        self._round = this_round + 1
        self.context_tokens += emitted
        finished = self._ends.pop(this_round, ())
        for request in finished:
            trajectory = _trajectory(request)
            del self._last_round[request]
            self.requests -= 1
            self.context_tokens -= request.prompt_tokens + request.output_tokens
            request.blocks = trajectory.blocks
            request.rounds += len(trajectory.cells)
            request.accepted += trajectory.accepted
        return emitted, finished

    def residents(self) -> Sequence[Request]:
        """Return the decoding requests in the order in which they came."""
        return list(self._last_round)

    def evict(self, request: Request) -> None:
        """Take the rest of a request's trajectory off the ring, in O(its rounds)."""
        last = self._last_round.pop(request)
        self._ends[last].remove(request)
        trajectory = _trajectory(request)
        rounds = len(trajectory.cells) - (last + 1 - self._round)
        self._add(-trajectory.cells[rounds:])
        emitted, blocks = unpack(int(trajectory.cells[:rounds].sum()))
        self.requests -= 1
        self.context_tokens -= request.prefill_tokens + 1 + emitted
        request.blocks += blocks
        request.rounds += rounds
        request.accepted += emitted - rounds  # only a last round is cut
        request.prefill_tokens += 1 + emitted
        request.trajectory = None

    def _rest(self, request: Request) -> Trajectory:
        """Follow a request on from after a prefill other than its first."""
        runs = request.runs_left(by_token=self._by_token)
        draws = np.array([len(runs)])
        context_tokens = request.prefill_tokens + 1
        left = np.array([request.prompt_tokens + request.output_tokens - context_tokens])
        if self._by_token:
            runs, draws = runs_by_round(runs, draws, left)
        (trajectory,) = lay_trajectories(
            runs,
            draws,
            np.array([context_tokens]),
            left,
            lookahead_tokens=self._lookahead_tokens,
            block_tokens=self._block_tokens,
        )
        return trajectory

    def _add(self, cells: Counts) -> None:
        """Add cells to those of the coming rounds; the ring may end among them."""
        start = self._round & self._mask
        part = self._ring[start : start + len(cells)]
        fits = len(part)
        part += cells[:fits]
        if fits < len(cells):
            part = self._ring[: len(cells) - fits]
            part += cells[fits:]


def _trajectory(request: Request) -> Trajectory:
    if request.trajectory is None:
        raise InvariantError(f"request {request.request_id} has no trajectory to lay on a ring.")
    return request.trajectory
