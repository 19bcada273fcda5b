"""Length laws: how many tokens a prompt or an output has.

A law draws integers and knows its own distribution in closed form, so that samples can be tested
against it and capacity can be bounded before a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError
from simulator.workload.requests import MAX_TOKENS


class LengthLaw(Protocol):
    """A distribution of token counts on ``min_tokens .. max_tokens``."""

    @property
    def min_tokens(self) -> int: ...  # noqa: D102
    @property
    def max_tokens(self) -> int: ...  # noqa: D102

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` lengths, tokens."""
        ...

    def mean(self) -> float:
        """Return the expected length, tokens."""
        ...

    def cdf(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return P(length <= tokens), elementwise."""
        ...

    def quantile(self, probability: float) -> int:
        """Return the least length whose cdf is at least ``probability``."""
        ...

    def capped(self, max_tokens: int) -> LengthLaw:
        """Return this law with longer draws cut to ``max_tokens``."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLength:
    """Every length is the same.

    Examples
    --------
    >>> FixedLength(128).quantile(0.99)
    128
    """

    tokens: int

    @property
    def min_tokens(self) -> int:
        """The length."""
        return self.tokens

    @property
    def max_tokens(self) -> int:
        """The length."""
        return self.tokens

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the length ``n`` times; the generator is not used."""
        return np.full(n, self.tokens, dtype=np.int64)

    def mean(self) -> float:
        """Return the length."""
        return float(self.tokens)

    def cdf(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return the step function at the length."""
        return (np.asarray(tokens) >= self.tokens).astype(np.float64)

    def quantile(self, probability: float) -> int:
        """Return the length, whatever the probability."""
        return self.tokens

    def capped(self, max_tokens: int) -> FixedLength:
        """Return the law cut to ``max_tokens``."""
        return FixedLength(min(self.tokens, max_tokens))


@dataclass(frozen=True, slots=True)
class UniformLength:
    """Every whole number of tokens from ``shortest`` to ``longest`` is equally likely.

    Load generators draw such lengths: InferenceX's client with ``--random-range-ratio r`` takes
    prompts and outputs uniformly from ``r L`` to ``L``.

    Raises
    ------
    ConfigError
        If the bounds are not 1 <= shortest <= longest.

    Examples
    --------
    >>> UniformLength(820, 1024).mean()
    922.0
    """

    shortest: int
    longest: int

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ConfigError(
                f"uniform lengths from {self.shortest} to {self.longest} tokens: the shortest must "
                "be at least 1 and no longer than the longest."
            )

    @property
    def min_tokens(self) -> int:
        """The shortest length."""
        return self.shortest

    @property
    def max_tokens(self) -> int:
        """The longest length."""
        return self.longest

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` lengths, tokens."""
        return generator.integers(self.shortest, self.longest, n, dtype=np.int64, endpoint=True)

    def mean(self) -> float:
        """Return the expected length, the middle of the range."""
        return (self.shortest + self.longest) / 2

    def cdf(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return the share of the range's whole numbers up to ``tokens``."""
        count = np.floor(np.asarray(tokens, dtype=np.float64)) - self.shortest + 1
        return np.clip(count / (self.longest - self.shortest + 1), 0.0, 1.0)

    def quantile(self, probability: float) -> int:
        """Return the least length whose cdf is at least ``probability``."""
        steps = math.ceil(probability * (self.longest - self.shortest + 1))
        return self.shortest + max(steps - 1, 0)

    def capped(self, max_tokens: int) -> UniformLength:
        """Return the range cut at ``max_tokens``; what lay above is drawn anew."""
        return UniformLength(min(self.shortest, max_tokens), min(self.longest, max_tokens))


@dataclass(frozen=True, slots=True)
class LognormalMixture:
    r"""A mixture of lognormals, rounded to whole tokens and clipped to a range.

    ``N = clip(floor(X + 1/2), min, max)`` with ``log X ~ sum_i w_i Normal(mu_i, sigma_i^2)``. With
    ``F(x) = sum_i w_i Phi((ln x - mu_i) / sigma_i)`` its distribution is ``P(N <= k) = F(k + 1/2)``
    for ``min <= k < max``, and 1 from ``max`` on.

    Longer draws are clipped, not drawn anew, because this is what servers do: a prompt is truncated
    to the context window and an output stops at its limit, so requests pile up at the cap. The
    Azure code trace shows the pile (3.5 % of its prompts have 7,435 to 7,437 tokens; clipping this
    law yields 2.9 %), and resampling would lose 8 % of its mean prompt.

    Parameters
    ----------
    weights
        Probabilities of the components; they sum to one.
    mu, sigma
        Mean and standard deviation of the natural logarithm of the length in tokens.
    min_tokens, max_tokens
        Range of the clipped lengths, ``1 <= min_tokens <= max_tokens``.

    Raises
    ------
    ConfigError
        If the parameters do not make a distribution.

    Examples
    --------
    >>> law = LognormalMixture((1.0,), (5.0,), (0.5,), min_tokens=1, max_tokens=4096)
    >>> law.quantile(0.5), round(law.mean(), 1)
    (148, 168.2)
    """

    weights: tuple[float, ...]
    mu: tuple[float, ...]
    sigma: tuple[float, ...]
    min_tokens: int
    max_tokens: int

    def __post_init__(self) -> None:
        if not len(self.weights) == len(self.mu) == len(self.sigma) > 0:
            raise ConfigError(
                f"a lognormal mixture has {len(self.weights)} weights, {len(self.mu)} mu and"
                f" {len(self.sigma)} sigma; give each component all three."
            )
        if not all(w > 0 for w in self.weights) or not abs(sum(self.weights) - 1) < 1e-6:
            raise ConfigError(f"mixture weights {self.weights} must be positive and sum to 1.")
        if not np.all(np.isfinite(self.mu)) or not all(0 < s < np.inf for s in self.sigma):
            raise ConfigError(
                f"mixture has mu {self.mu} and sigma {self.sigma}; mu must be finite and sigma"
                " positive."
            )
        if not 1 <= self.min_tokens <= self.max_tokens <= MAX_TOKENS:
            raise ConfigError(
                f"lengths of {self.min_tokens} to {self.max_tokens} tokens are not a range within"
                f" 1 to {MAX_TOKENS}."
            )

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw ``n`` lengths, tokens: ``n`` uniforms (components), then ``n`` normals."""
        bounds = np.cumsum(self.weights)[:-1]
        component = np.searchsorted(bounds, generator.random(n), side="right")
        log_tokens = np.asarray(self.mu)[component]
        log_tokens = log_tokens + np.asarray(self.sigma)[component] * generator.standard_normal(n)
        # Clipping the logarithm first keeps the exponential finite; it cannot change the result.
        exact = np.exp(np.minimum(log_tokens, np.log(self.max_tokens + 1.0)))
        tokens: NDArray[np.int64] = np.floor(exact + 0.5).astype(np.int64)
        return np.clip(tokens, self.min_tokens, self.max_tokens)

    def mean(self) -> float:
        """Return the expected length, tokens.

        The closed form of the clipped continuous mixture; rounding to whole tokens moves it by less
        than 0.01 tokens for the laws shipped.
        """
        low, high = np.log(self.min_tokens), np.log(self.max_tokens)
        ndtr, total = scipy.special.ndtr, 0.0
        for w, mu, sigma in zip(self.weights, self.mu, self.sigma, strict=True):
            below, above = ndtr((low - mu) / sigma), ndtr((mu - high) / sigma)
            inside = ndtr((high - mu) / sigma - sigma) - ndtr((low - mu) / sigma - sigma)
            body = np.exp(mu + sigma**2 / 2) * inside if inside > 0 else 0.0
            total += w * (self.min_tokens * below + body + self.max_tokens * above)
        return float(total)

    def cdf(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return P(length <= tokens), elementwise."""
        k = np.floor(np.asarray(tokens, dtype=np.float64))
        log_edge = np.log(np.maximum(k, 1.0) + 0.5)
        share = np.zeros_like(log_edge)
        for w, mu, sigma in zip(self.weights, self.mu, self.sigma, strict=True):
            share += w * scipy.special.ndtr((log_edge - mu) / sigma)
        return np.where(k < self.min_tokens, 0.0, np.where(k >= self.max_tokens, 1.0, share))

    def quantile(self, probability: float) -> int:
        """Return the least length whose cdf is at least ``probability``."""
        low, high = self.min_tokens, self.max_tokens
        while low < high:
            middle = (low + high) // 2
            if self.cdf(middle) >= probability:
                high = middle
            else:
                low = middle + 1
        return low

    def capped(self, max_tokens: int) -> LognormalMixture:
        """Return this law with longer draws cut to ``max_tokens``; the minimum yields to it."""
        return replace(self, min_tokens=min(self.min_tokens, max_tokens), max_tokens=max_tokens)
