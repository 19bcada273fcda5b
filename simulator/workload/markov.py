r"""Markov-modulated Poisson arrivals: the rate jumps between states.

A state i lasts an exponential time of mean ``d_i``; then each of the others is equally likely to
follow. The share of time in a state is therefore ``pi_i = d_i / sum_j d_j``, and the chain is
reversible. With ``r_i`` the rate of a state over the mean rate, the autocovariance of the relative
rate is a sum of exponentials, ``sum_k v_k exp(-|h| / tau_k)``: with Q the generator,
``-1 / tau_k`` are the eigenvalues of ``S = pi^{1/2} Q pi^{-1/2}``, which is symmetric, and
``v_k = (sum_i pi_i^{1/2} r_i u_{ik})^2`` follow from its eigenvectors. For two states,
``v = pi_1 pi_2 (r_1 - r_2)^2`` and ``1 / tau = 1 / d_1 + 1 / d_2`` (W. Fischer and K.
Meier-Hellstern, The Markov-modulated Poisson process cookbook, Perform. Eval. 18, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.modulation import Modulation
from simulator.workload.rescaling import rescaled, unit_poisson

_MOST_RATE, _LEAST_S, _MOST_S = 1e6, 1e-6, 1e9
"""Accepted states (kind: assumed): from a microsecond to decades."""

_WINDOW_JUMPS = 256
"""Jumps drawn at once. Part of the meaning of a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """A state that the rate is in for some time (an entry of ``workload.rate_states``).

    Parameters
    ----------
    rate
        Rate relative to those of the other states, from 0 on.
    dwell_s
        Mean of the exponential time that it lasts, s.

    Raises
    ------
    ConfigError
        If either is out of range.
    """

    rate: float
    dwell_s: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.rate <= _MOST_RATE and _LEAST_S <= self.dwell_s <= _MOST_S):
            raise ConfigError(
                f"a state of the rate has rate {self.rate:g} and dwell_s {self.dwell_s:g}; set a "
                f"rate of 0 to {_MOST_RATE:g}, relative to the other states, and a time of "
                f"{_LEAST_S:g} to {_MOST_S:g} s."
            )


@dataclass(frozen=True, slots=True)
class Steps:
    """A stretch of a rate that is constant between jumps (`rescaling.Stretch`).

    Parameters
    ----------
    time_s
        Where the pieces begin and the last one ends, s, shape (n + 1,).
    integral_s
        Integral of the relative rate there, s, shape (n + 1,).
    """

    time_s: NDArray[np.float64]
    integral_s: NDArray[np.float64]

    def times_at(self, integral_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when the integral reaches the given values, s: linear within a piece."""
        return np.interp(integral_s, self.integral_s, self.time_s)


@dataclass(frozen=True, slots=True)
class MarkovModulatedPoisson:
    """Poisson arrivals whose rate jumps between states.

    Parameters
    ----------
    rate
        Mean rate over time, requests/s, > 0.
    states
        At least two, not all of one rate.

    Raises
    ------
    ConfigError
        If there is nothing to jump between.

    Examples
    --------
    >>> quiet, burst = RateState(rate=1.0, dwell_s=30.0), RateState(rate=5.0, dwell_s=10.0)
    >>> (fluctuation,) = MarkovModulatedPoisson(2.0, (quiet, burst)).modulations
    >>> round(fluctuation.variance, 9), round(fluctuation.time_constant_s, 9)
    (0.75, 7.5)
    """

    rate: float
    states: tuple[RateState, ...]

    def __post_init__(self) -> None:
        if len({state.rate for state in self.states}) < 2:
            raise ConfigError(
                "Markov-modulated arrivals jump between states of different rates, but there are "
                f"{len(self.states)} states of {len({s.rate for s in self.states})} rates; list at "
                "least two in workload.rate_states, such as [{rate: 1, dwell_s: 60}, {rate: 5, "
                "dwell_s: 5}]."
            )

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        found = ", ".join(
            f"{level * self.rate:.3g} for {state.dwell_s:g} s"
            for level, state in zip(self._levels, self.states, strict=True)
        )
        return (
            f"arrivals: Poisson with a rate of mean {self.rate:g} requests/s that jumps between "
            f"states ({found}; exponential times, each of the others equally likely next)"
        )

    @property
    def modulations(self) -> tuple[Modulation, ...]:
        """Exponential parts of the autocovariance of the relative rate, the slowest first."""
        dwell_s = np.array([state.dwell_s for state in self.states])
        n, root = dwell_s.size, np.sqrt(self._shares)
        symmetric = np.outer(root, 1.0 / root) / ((n - 1) * dwell_s[:, None])
        np.fill_diagonal(symmetric, -1.0 / dwell_s)
        eigenvalues, vectors = np.linalg.eigh(symmetric)
        variances = ((root * self._levels) @ vectors) ** 2
        # The last eigenvalue is 0 and belongs to the mean.
        parts = zip(variances[-2::-1].tolist(), eigenvalues[-2::-1].tolist(), strict=True)
        return tuple(Modulation(variance, -1.0 / value) for variance, value in parts)

    def count_cv2(self, window_s: float) -> float:
        """Return the squared coefficient of variation of counts in windows of ``window_s``."""
        excess = sum(part.excess_count_cv2(window_s) for part in self.modulations)
        return 1.0 / (self.rate * window_s) + excess

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Return the arrival times, s, block after block (`rescaling.rescaled`)."""
        if any(part.felt_at(self.rate) for part in self.modulations):
            return rescaled(self._path(streams), self.rate, streams)
        return (clock / self.rate for clock in unit_poisson(streams))

    @property
    def _shares(self) -> NDArray[np.float64]:
        """Share of time in each state."""
        dwell_s = np.array([state.dwell_s for state in self.states])
        shares: NDArray[np.float64] = dwell_s / dwell_s.sum()
        return shares

    @property
    def _levels(self) -> NDArray[np.float64]:
        """Rate of each state over the mean rate."""
        rates = np.array([state.rate for state in self.states])
        levels: NDArray[np.float64] = rates / (rates @ self._shares)
        return levels

    def _path(self, streams: Streams) -> Iterator[Steps]:
        """Draw the path of the rate, without end.

        Block ``b + 1`` of the stream ``arrivals.states`` holds the draws of stretch ``b``, block 0
        the stationary start. Carried over are the state, the clock and the integral.
        """
        n, levels = len(self.states), self._levels
        dwell_s = np.array([state.dwell_s for state in self.states])
        state = int(streams.block("arrivals.states", 0).choice(n, p=self._shares))
        clock_s = integral_s = 0.0
        for block in count(1):
            generator = streams.block("arrivals.states", block)
            lengths = generator.standard_exponential(_WINDOW_JUMPS)
            others = generator.integers(1, n, _WINDOW_JUMPS)
            visited = (state + np.concatenate([[0], np.cumsum(others)])) % n
            state, visited = int(visited[-1]), visited[:-1]
            time_s = clock_s + _sums(lengths * dwell_s[visited])
            integral = integral_s + _sums(lengths * dwell_s[visited] * levels[visited])
            clock_s, integral_s = float(time_s[-1]), float(integral[-1])
            yield Steps(time_s, integral)


def _sums(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running sums, from 0 on."""
    return np.concatenate([[0.0], np.cumsum(parts)])
