"""Times between an answer and what comes after it: people think, tools run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.errors import ConfigError


class TimeLaw(Protocol):
    """A distribution of times."""

    @property
    def assumption(self) -> str: ...  # noqa: D102

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw ``n`` times, s."""
        ...

    def mean(self) -> float:
        """Return the expected time, s."""
        ...


@dataclass(frozen=True, slots=True)
class ExponentialTimes:
    """Exponential times of a mean, s.

    Examples
    --------
    >>> ExponentialTimes(30.0).mean()
    30.0
    """

    mean_s: float

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        return f"exponential of mean {self.mean_s:g} s"

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw ``n`` times, s."""
        return generator.exponential(self.mean_s, n)

    def mean(self) -> float:
        """Return the expected time, s."""
        return self.mean_s


@dataclass(frozen=True, slots=True)
class LognormalTimes:
    """A mixture of lognormals, cut at a longest time.

    Parameters
    ----------
    weights
        Probabilities of the components; they sum to one.
    mu, sigma
        Mean and standard deviation of the natural logarithm of the time in seconds.
    max_s
        Longest time, s: longer ones are cut to it.

    Raises
    ------
    ConfigError
        If the parameters do not make a distribution.

    Examples
    --------
    >>> round(LognormalTimes((1.0,), (2.0,), (1.0,), max_s=1e9).mean(), 2)  # exp(2.5)
    12.18
    """

    weights: tuple[float, ...]
    mu: tuple[float, ...]
    sigma: tuple[float, ...]
    max_s: float

    def __post_init__(self) -> None:
        sizes = {len(self.weights), len(self.mu), len(self.sigma)}
        sound = all(v > 0.0 for v in (*self.weights, *self.sigma, self.max_s))
        if len(sizes) > 1 or not sound or abs(sum(self.weights) - 1.0) > 1e-6:
            raise ConfigError(
                f"times of weights {self.weights}, mu {self.mu}, sigma {self.sigma} up to "
                f"{self.max_s:g} s: give each component all three, weights above 0 that sum to 1, "
                "sigma above 0 and a longest time above 0."
            )

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        parts = ", ".join(
            f"{w:.0%} of median {np.exp(mu):.3g} s"
            for w, mu in zip(self.weights, self.mu, strict=True)
        )
        return f"lognormal ({parts}; mean {self.mean():.3g} s, at most {self.max_s:g} s)"

    def sample(self, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw ``n`` times, s: ``n`` uniforms (components), then ``n`` normals."""
        component = np.searchsorted(np.cumsum(self.weights)[:-1], generator.random(n), "right")
        log_s = np.asarray(self.mu)[component]
        log_s = log_s + np.asarray(self.sigma)[component] * generator.standard_normal(n)
        times_s: NDArray[np.float64] = np.exp(np.minimum(log_s, np.log(self.max_s)))
        return times_s

    def mean(self) -> float:
        """Return the expected time, s, the cut included."""
        weights, mu, sigma = map(np.asarray, (self.weights, self.mu, self.sigma))
        edge = (np.log(self.max_s) - mu) / sigma
        body = np.exp(mu + sigma**2 / 2) * scipy.special.ndtr(edge - sigma)
        return float(weights @ (body + self.max_s * scipy.special.ndtr(-edge)))
