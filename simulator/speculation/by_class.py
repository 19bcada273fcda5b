"""Acceptance that depends on what a request is about: each traffic class has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError

if TYPE_CHECKING:
    from simulator.speculation.acceptance import Acceptance

Ints = NDArray[np.int64]


class ClassAcceptance:
    """The acceptance of each traffic class.

    Parameters
    ----------
    parts
        One model a class, all told apart alike (`acceptance.Acceptance.by_token`).
    shares
        Shares of the requests, relative to each other.

    Examples
    --------
    >>> from simulator.speculation.position import PositionAcceptance
    >>> both = ClassAcceptance([PositionAcceptance([1.0]), PositionAcceptance([0.0])], [1.0, 3.0])
    >>> outputs, generator = np.array([2, 1, 2]), np.random.default_rng(1)
    >>> both.of(np.array([0, 1, 0])).draw(outputs, 3, generator).tolist()
    [3, 3, 0, 3, 3]
    >>> round(both.tokens_per_round(3), 3)  # four requests of 12 tokens take 3 + 3 * 12 rounds
    1.231
    """

    def __init__(self, parts: Sequence[Acceptance], shares: Sequence[float]) -> None:
        if len({part.by_token for part in parts}) != 1:
            raise InvariantError("classes tell the draws of a request apart in different ways.")
        self.parts = tuple(parts)
        self.shares = tuple(share / sum(shares) for share in shares)
        self.by_token = parts[0].by_token

    def of(self, traffic_class: Ints) -> Acceptance:
        """Return the acceptance of requests of these classes, int64[requests]."""
        return _OfRequests(self, traffic_class)

    def draw(self, output_tokens: Ints, gamma: int, generator: np.random.Generator) -> Ints:
        """Draw the runs of requests that all belong to the first class.

        Requests of several go through `of`.
        """
        return self.parts[0].draw(output_tokens, gamma, generator)

    def tokens_per_round(self, gamma: int) -> float:
        """Return all tokens over all rounds, for requests of equal length in every class."""
        rounds = sum(
            share / part.tokens_per_round(gamma)
            for share, part in zip(self.shares, self.parts, strict=True)
        )
        return 1.0 / rounds


class _OfRequests:
    """The acceptance of some requests whose classes are known."""

    def __init__(self, acceptance: ClassAcceptance, traffic_class: Ints) -> None:
        self._acceptance = acceptance
        self._class = traffic_class
        self.by_token = acceptance.by_token

    def draw(self, output_tokens: Ints, gamma: int, generator: np.random.Generator) -> Ints:
        """Draw the runs of consecutive requests, class after class."""
        found = np.empty(int(output_tokens.sum()), dtype=np.int64)
        owner = np.repeat(self._class, output_tokens)
        for index, part in enumerate(self._acceptance.parts):
            mine = self._class == index
            if mine.any():
                found[owner == index] = part.draw(output_tokens[mine], gamma, generator)
        return found

    def tokens_per_round(self, gamma: int) -> float:
        """Return what all classes have together."""
        return self._acceptance.tokens_per_round(gamma)
