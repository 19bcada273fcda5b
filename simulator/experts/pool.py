"""Routes of many token sequences, drawn or read once, and walks along them.

Drawing routes in the event loop would cost more than all else there. So a pool holds the routes of
many sequences; the requests of a step walk along sequences of the pool, each along one of its own.
What consecutive tokens, and consecutive steps, share is then what the sequences share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.loads import count_experts
from simulator.streams import Streams

Ints = NDArray[np.int64]

_STRETCHES = 256
"""Places in a pool before which the copies of each expert are known."""


@dataclass(frozen=True, eq=False)
class RoutePool:
    """Routes of token sequences through all MoE layers of a model.

    Parameters
    ----------
    experts
        Logical experts E of a layer.
    chosen
        Experts picked, unsigned, of shape (layers, tokens, K); sequences stand one behind another.
    lengths
        Tokens of each sequence, summing to those of `chosen`.
    features
        What a drafter saw of each token, shape (tokens, d); None where nothing was recorded.

    Raises
    ------
    ConfigError
        If the lengths do not sum up, or are not positive.
    """

    experts: int
    chosen: NDArray[np.unsignedinteger]
    lengths: Ints
    features: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        lengths = np.asarray(self.lengths, dtype=np.int64)
        if not lengths.size or lengths.min() < 1 or lengths.sum() != self.chosen.shape[1]:
            raise ConfigError(
                f"sequences of {lengths.sum()} tokens, the shortest {lengths.min(initial=0)}, "
                f"cannot fill routes of {self.chosen.shape[1]} tokens."
            )
        object.__setattr__(self, "lengths", lengths)

    @property
    def layers(self) -> int:
        """MoE layers."""
        return len(self.chosen)

    @property
    def top_k(self) -> int:
        """Experts that a token picks in a layer, K."""
        return int(self.chosen.shape[2])

    def count(self, first: int, tokens: int) -> Ints:
        """Count the copies of each expert that tokens bring which follow one another.

        In the time of some tokens, however many there are: sums over what is before are kept.

        Parameters
        ----------
        first, tokens
            The first of them, and how many; after the last of the pool comes its first.

        Returns
        -------
        ndarray of int, shape (layers, experts)

        Examples
        --------
        >>> pool = RoutePool(3, np.array([[[0], [2]]], dtype=np.uint8), np.array([2]))
        >>> pool.count(1, 4).tolist()
        [[2, 0, 2]]
        """
        total = self.chosen.shape[1]
        cycles, last = divmod(first + tokens, total)
        counted = cycles * self._before(total) + self._before(last) - self._before(first)
        return np.asarray(counted)

    def _before(self, token: int) -> Ints:
        """Count the copies of each expert of all tokens before one."""
        stride, sums = self._sums
        known = token // stride
        rest = self.chosen[:, known * stride : token].reshape(self.layers, -1)
        return np.asarray(sums[known] + count_experts(rest, self.experts))

    @cached_property
    def _sums(self) -> tuple[int, Ints]:
        """Tokens of a stretch, and the copies of each expert before each stretch."""
        total = self.chosen.shape[1]
        stride = max(-(-total // _STRETCHES), 1)
        counted = [
            count_experts(self.chosen[:, at : at + stride].reshape(self.layers, -1), self.experts)
            for at in range(0, total, stride)
        ]
        return stride, np.cumsum([np.zeros_like(counted[0]), *counted], axis=0)

    @cached_property
    def starts(self) -> Ints:
        """First token of each sequence."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def of(self, sequences: Ints) -> RoutePool:
        """Return a pool of some of the sequences alone.

        Parameters
        ----------
        sequences
            Their numbers.
        """
        rows = np.concatenate(
            [self.starts[one] + np.arange(self.lengths[one]) for one in sequences]
        )
        features = None if self.features is None else self.features[rows]
        return RoutePool(self.experts, self.chosen[:, rows], self.lengths[sequences], features)


class PoolWalk:
    """Routes of the steps of one replica: its requests walk along the sequences of a pool.

    Parameters
    ----------
    pool
        Routes of the tokens that decode.
    streams
        Say on which sequence, and how far along it, each request begins.
    prompts
        Routes of prompt tokens, best of long sequences; None: those of `pool`.
    replica
        Number of the replica; each walks on its own.

    Notes
    -----
    Request i of a step keeps to one sequence until less of it is left than the step takes; then it
    goes on with one that none of the others is on, as a new request would. With more requests than
    sequences, several share one. The prompt tokens of a step begin at the head of a sequence, and
    go on with the next when it ends.

    Where a mean of query tokens is no whole number, requests take the whole ones below and above
    it by turns, over the requests of a step and from one step to the next: their mean is met.
    """

    def __init__(
        self,
        pool: RoutePool,
        streams: Streams,
        prompts: RoutePool | None = None,
        replica: int = 0,
    ) -> None:
        self.pool = pool
        self.prompts = prompts or pool
        draws = streams.block("route walk", replica)
        self._order = draws.permutation(len(pool.lengths))
        self._begin = draws.random(len(pool.lengths))
        self._sequence = np.zeros(0, np.int64)
        self._token = np.zeros(0, np.int64)
        self._prompt = int(draws.integers(len(self.prompts.lengths)))
        self._owed = 0.0
        self.rows: Ints = np.zeros(0, np.int64)
        """Tokens of the pool that decoded or were verified in the last step."""

    def step(
        self, requests: int, query_tokens: float, prompt_tokens: int, consumed: int | None = None
    ) -> NDArray[np.unsignedinteger]:
        """Return the experts that the tokens of the next step pick.

        Parameters
        ----------
        requests
            Requests that decode or verify.
        query_tokens
            Tokens of each of them, >= 1: 1, or gamma + 1 in a verify step, or a mean of these.
        prompt_tokens
            Prompt tokens of the step, taken as those of one further request.
        consumed
            Tokens by which each request moves on, on average those a round emits; None: all.

        Returns
        -------
        ndarray of unsigned int, shape (layers, copies)
            The K experts of each token; requests first, then prompt tokens.
        """
        ends = self._ends(requests, query_tokens)
        self._owed = float(requests * query_tokens + self._owed) % 1.0
        taken = np.diff(ends)
        self.rows = rows = self._decode_rows(taken, math.ceil(query_tokens))
        self._token[:requests] += taken if consumed is None else consumed
        chosen = self.pool.chosen.take(rows, axis=1).reshape(self.pool.layers, -1)
        if not prompt_tokens:
            return chosen
        prompt = self._prompt_routes(prompt_tokens)
        return np.concatenate([chosen, prompt], axis=1) if requests else prompt

    def counts(
        self, requests: int, query_tokens: float, prompt_tokens: int, parts: int = 1
    ) -> list[Ints]:
        """Return the copies of each expert in the next step, and in each part of it.

        Parameters
        ----------
        requests, query_tokens, prompt_tokens
            As in `step`, of which this is the sum.
        parts
            Batches that the step is cut into, as equal as requests and prompt tokens allow.

        Returns
        -------
        list of ndarray of int, shape (layers, experts)
            Of the whole step, then of each part if there are several.
        """
        pool, prompts = self.pool, self.prompts
        before = self._ends(requests, query_tokens) * pool.top_k
        chosen = self.step(requests, query_tokens, 0)
        first = int(prompts.starts[self._prompt])
        self._prompt = self._next_prompt(first, prompt_tokens)
        cuts = [requests * part // parts for part in range(parts + 1)]
        ends = [prompt_tokens * part // parts for part in range(parts + 1)]
        found = []
        for part in range(parts):
            counted = count_experts(
                chosen[:, before[cuts[part]] : before[cuts[part + 1]]], pool.experts
            )
            tokens = ends[part + 1] - ends[part]
            if tokens:
                at = (first + ends[part]) % prompts.chosen.shape[1]
                counted = counted + prompts.count(at, tokens)
            found.append(counted)
        return found if parts == 1 else [np.sum(found, axis=0), *found]

    def _ends(self, requests: int, query_tokens: float) -> Ints:
        """Return the tokens of the next step before each of its requests, and those of all."""
        return (np.arange(requests + 1) * query_tokens + self._owed).astype(np.int64)

    def _decode_rows(self, taken: Ints, query_tokens: int) -> Ints:
        """Return the tokens of the pool that the requests are at, one after another.

        Parameters
        ----------
        taken
            Tokens that each request takes.
        query_tokens
            The most that any may take.
        """
        pool, count, requests = self.pool, len(self.pool.lengths), len(taken)
        known = len(self._sequence)
        if requests > known:
            places = np.arange(known, requests)
            fresh = self._order[places % count]
            begin = (self._begin[fresh] * pool.lengths[fresh]).astype(np.int64)
            self._sequence = np.concatenate([self._sequence, places])
            self._token = np.concatenate([self._token, begin])
        sequence, token = self._sequence[:requests], self._token[:requests]
        on = self._order[sequence % count]
        over = token + query_tokens > pool.lengths[on]
        if over.any():
            sequence[over] += max(requests, 1)
            token[over] = 0
            on = self._order[sequence % count]
        place = np.arange(query_tokens)
        along = np.minimum(token[:, None] + place, pool.lengths[on][:, None] - 1)
        rows = pool.starts[on][:, None] + along
        whole = taken.sum() == rows.size
        return np.ravel(rows) if whole else rows[place < taken[:, None]]

    def _prompt_routes(self, tokens: int) -> NDArray[np.unsignedinteger]:
        """Return the routes of so many prompt tokens, from the head of the next sequence on."""
        prompts = self.prompts
        total = prompts.chosen.shape[1]
        first = int(prompts.starts[self._prompt])
        rows = np.arange(first, first + tokens) % total
        self._prompt = self._next_prompt(first, tokens)
        return np.asarray(prompts.chosen.take(rows, axis=1).reshape(prompts.layers, -1))

    def _next_prompt(self, first: int, tokens: int) -> int:
        """Return the sequence at whose head the prompt tokens of the next step begin."""
        if not tokens:
            return self._prompt
        starts = self.prompts.starts
        last = (first + tokens - 1) % self.prompts.chosen.shape[1]
        return int(np.searchsorted(starts, last, side="right")) % len(starts)
