"""Laws of counts and lengths that no formula gives: empirical quantiles; numbers of turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError
from simulator.workload.requests import MAX_TOKENS


class CountLaw(Protocol):
    """A distribution of counts."""

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` counts, each at least 1."""
        ...

    def mean(self) -> float:
        """Return the expected count."""
        ...


@dataclass(frozen=True, slots=True)
class EmpiricalLength:
    """Lengths by the quantiles of a sample: their function is linear between those given.

    With Q that function, ``N = floor(Q(U) + 1/2)``, so that ``P(N <= k) = Q^{-1}(k + 1/2)``. Equal
    successive quantiles are a share of requests of exactly that length.

    Parameters
    ----------
    probabilities
        Rising from 0 to 1.
    tokens
        The quantiles there, whole tokens, nondecreasing, at least 1.

    Raises
    ------
    ConfigError
        If these are no quantiles.

    Examples
    --------
    >>> law = EmpiricalLength((0.0, 0.5, 1.0), (10, 20, 120))
    >>> law.quantile(0.5), law.mean()
    (20, 42.5)
    """

    probabilities: tuple[float, ...]
    tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        p, tokens = self.probabilities, self.tokens
        if not (len(p) == len(tokens) >= 2 and p[0] == 0.0 and p[-1] == 1.0):
            raise ConfigError(
                f"{len(p)} probabilities and {len(tokens)} quantiles do not make a law of lengths; "
                "give as many of the one as of the other, from probability 0 to 1."
            )
        if not (all(a < b for a, b in pairwise(p)) and self._rises()):
            raise ConfigError(
                f"quantiles {tokens} at {p} must not fall, at probabilities that rise, and be 1 to "
                f"{MAX_TOKENS:,} tokens."
            )

    def _rises(self) -> bool:
        steps = zip(self.tokens, self.tokens[1:], strict=False)
        return (
            all(a <= b for a, b in steps) and 1 <= self.tokens[0] <= self.tokens[-1] <= MAX_TOKENS
        )

    @property
    def min_tokens(self) -> int:
        """The shortest length."""
        return self.tokens[0]

    @property
    def max_tokens(self) -> int:
        """The longest length."""
        return self.tokens[-1]

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` lengths, tokens."""
        exact = np.interp(generator.random(n), self.probabilities, self.tokens)
        return np.floor(exact + 0.5).astype(np.int64)

    def mean(self) -> float:
        """Return the expected length, tokens; rounding moves it by less than a token."""
        tokens = np.asarray(self.tokens, dtype=np.float64)
        return float(np.diff(self.probabilities) @ (tokens[1:] + tokens[:-1]) / 2.0)

    def cdf(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return P(length <= tokens), elementwise."""
        edges = np.floor(np.asarray(tokens, dtype=np.float64)) + 0.5
        return np.interp(edges, self.tokens, self.probabilities, left=0.0, right=1.0)

    def quantile(self, probability: float) -> int:
        """Return the least length whose cdf is at least ``probability``."""
        return math.ceil(np.interp(probability, self.probabilities, self.tokens) - 0.5)

    def capped(self, max_tokens: int) -> EmpiricalLength:
        """Return this law with longer draws cut to ``max_tokens``."""
        return EmpiricalLength(*self._cut(max_tokens))

    def _cut(self, most: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Return the quantiles with those above a bound cut, and one where they reach it."""
        p, tokens = list(self.probabilities), list(self.tokens)
        at = next((i for i, length in enumerate(tokens) if length > most), 0)
        if at:
            low, high = tokens[at - 1], tokens[at]
            reached = p[at - 1] + (p[at] - p[at - 1]) * (most - low) / (high - low)
            if p[at - 1] < reached:
                p.insert(at, reached)
                tokens.insert(at, most)
        return tuple(p), tuple(min(length, most) for length in tokens)


@dataclass(frozen=True, slots=True)
class GeometricCount:
    """Counts of at least 1 that end by chance after each: turns of a conversation.

    Parameters
    ----------
    mean_count
        Expected count, above 1.

    Examples
    --------
    >>> GeometricCount(4.0).sample(np.random.default_rng(1), 5).tolist()
    [4, 2, 19, 2, 1]
    """

    mean_count: float

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` counts."""
        return generator.geometric(1.0 / self.mean_count, n)

    def mean(self) -> float:
        """Return the expected count."""
        return self.mean_count
