"""Arrival laws: when requests come, in an open loop.

A law is chosen by name from ``ARRIVALS`` and yields arrival times without end. Scaling the mean
rate keeps the burstiness: time constants stay in seconds, variances relative to the squared mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.registry import Registry
from simulator.streams import Streams
from simulator.workload.modulation import Modulation, RateWindow, rate_windows
from simulator.workload.requests import BLOCK_REQUESTS

NEGLIGIBLE_DISPERSION = 0.01
"""A fluctuation that adds less than this to the dispersion index of counts (1 for Poisson) is
replaced by its mean. Choice of precision (kind: assumed): it bounds the work at low rates."""


@dataclass(frozen=True, slots=True)
class ArrivalParameters:
    """What an arrival law may be built from.

    Parameters
    ----------
    rate
        Mean rate, requests/s, > 0.
    modulations
        Fluctuations of the rate; empty for steady traffic.
    """

    rate: float
    modulations: tuple[Modulation, ...] = ()


class ArrivalLaw(Protocol):
    """A random process of arrival times."""

    @property
    def assumption(self) -> str: ...  # noqa: D102

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Yield arrival times, s, in blocks of ``BLOCK_REQUESTS``, nondecreasing, without end."""
        ...


ArrivalFactory = Callable[[ArrivalParameters], ArrivalLaw]

ARRIVALS: Registry[ArrivalFactory] = Registry("arrival_law")


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals at a constant rate.

    Parameters
    ----------
    rate
        Requests/s, > 0.

    Examples
    --------
    >>> times = next(Poisson(rate=4.0).times(Streams(seed=1)))
    >>> times.size, bool(200 < times[-1] < 300)
    (1024, True)
    """

    rate: float

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        return f"arrivals: Poisson at a constant {self.rate:g} requests/s"

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Yield arrival times, s: block ``b`` comes from block ``b`` of the stream ``arrivals``."""
        for clock in _unit_poisson(streams):
            yield clock / self.rate


@dataclass(frozen=True, slots=True)
class GammaModulatedPoisson:
    r"""Poisson arrivals whose rate fluctuates (a Cox process); see ``modulation`` for the path.

    Time rescaling: with ``Lambda(t)`` the integral of the rate and ``S_n`` the points of a Poisson
    process of unit rate, ``Lambda^{-1}(S_n)`` are the arrivals. So unit gaps and rate path come
    from streams of their own, and a faster rate moves through the same ups and downs.

    Counts in windows of ``w`` seconds have the squared coefficient of variation
    ``1/(rate w) + sum_i v_i 2 (tau_i/w)^2 (w/tau_i - 1 + exp(-w/tau_i))``.

    Parameters
    ----------
    rate
        Mean rate, requests/s, > 0.
    modulations
        Fluctuations; their autocovariances add.
    """

    rate: float
    modulations: tuple[Modulation, ...]

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        parts = " + ".join(
            f"{m.variance:g} (over {m.time_constant_s:g} s)" for m in self.modulations
        )
        return (
            f"arrivals: Poisson with a Gamma-distributed rate of mean {self.rate:g} requests/s,"
            f" relative variance {parts}, at any rate"
        )

    def count_cv2(self, window_s: float) -> float:
        """Return the squared coefficient of variation of counts in windows of ``window_s``."""
        excess = sum(m.excess_count_cv2(window_s) for m in self.modulations)
        return 1 / (self.rate * window_s) + excess

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Return the arrival times, s, block after block.

        Block ``b`` takes its unit gaps from block ``b`` of the stream ``arrivals``. Carried from
        block to block are the unit clock and the place in the rate path, which is a function of
        ``streams`` alone.
        """
        felt = tuple(m for m in self.modulations if self._felt(m))
        if not felt:
            return Poisson(self.rate).times(streams)
        scale = sum(m.variance for m in self.modulations)
        steady = sum(m.variance for m in self.modulations if m not in felt) / scale
        return self._rescaled(rate_windows(felt, steady, scale, streams), streams)

    def _rescaled(
        self, windows: Iterator[RateWindow], streams: Streams
    ) -> Iterator[NDArray[np.float64]]:
        """Map the points of a unit Poisson process to the times at which the rate reaches them."""
        window = next(windows)
        last_s = 0.0
        for clock in _unit_poisson(streams):
            wanted = clock / self.rate
            times_s = np.empty_like(wanted)
            done = 0
            while done < wanted.size:
                end = int(np.searchsorted(wanted, window.integral_s[-1]))
                times_s[done:end] = window.times_at(wanted[done:end])
                if end < wanted.size:
                    window = next(windows)
                done = end
            # Roots carry errors of 1e-12 of a window; order must not.
            np.maximum.accumulate(np.maximum(times_s, last_s), out=times_s)
            last_s = float(times_s[-1])
            yield times_s

    def _felt(self, modulation: Modulation) -> bool:
        """Whether a fluctuation adds noticeably, by 2 v tau rate, to the dispersion of counts."""
        added = 2 * modulation.variance * modulation.time_constant_s * self.rate
        return added >= NEGLIGIBLE_DISPERSION


def _unit_poisson(streams: Streams) -> Iterator[NDArray[np.float64]]:
    """Yield the points of a Poisson process of unit rate, in blocks."""
    clock = 0.0
    for block in count():
        gaps = streams.block("arrivals", block).standard_exponential(BLOCK_REQUESTS)
        points = clock + np.cumsum(gaps)
        clock = float(points[-1])
        yield points


@ARRIVALS.register("poisson")
def poisson(parameters: ArrivalParameters) -> Poisson:
    """Build steady Poisson arrivals; any modulations are left out."""
    return Poisson(parameters.rate)


@ARRIVALS.register("gamma_modulated")
def gamma_modulated(parameters: ArrivalParameters) -> GammaModulatedPoisson:
    """Build Poisson arrivals with a fluctuating rate.

    Raises
    ------
    ConfigError
        If the parameters hold no modulation.
    """
    if not parameters.modulations:
        raise ConfigError(
            "arrivals are 'gamma_modulated', but this preset measures no rate modulation;"
            " set workload.arrivals=poisson."
        )
    return GammaModulatedPoisson(parameters.rate, parameters.modulations)
