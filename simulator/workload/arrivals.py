"""Arrival laws: when requests come, in an open loop.

A law is chosen by name from ``ARRIVALS`` and yields arrival times without end. Scaling the mean
rate keeps the burstiness: time constants stay in seconds, variances relative to the squared mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.registry import Registry
from simulator.streams import Streams
from simulator.workload.markov import MarkovModulatedPoisson, RateState
from simulator.workload.modulation import Modulation, rate_windows
from simulator.workload.renewal import GammaRenewal, WeibullRenewal
from simulator.workload.rescaling import rescaled, unit_poisson


@dataclass(frozen=True, slots=True)
class ArrivalParameters:
    """What an arrival law may be built from.

    Parameters
    ----------
    rate
        Mean rate, requests/s, > 0.
    modulations
        Fluctuations of the rate; empty for steady traffic.
    interarrival_cv
        Coefficient of variation of the times between arrivals; None where none is known.
    states
        States of the rate, none for steady traffic.
    """

    rate: float
    modulations: tuple[Modulation, ...] = ()
    interarrival_cv: float | None = None
    states: tuple[RateState, ...] = ()


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
        for clock in unit_poisson(streams):
            yield clock / self.rate


@dataclass(frozen=True, slots=True)
class GammaModulatedPoisson:
    r"""Poisson arrivals whose rate fluctuates (a Cox process); see ``modulation`` for the path.

    Arrivals come by time rescaling (`rescaling.rescaled`).

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
        """Return the arrival times, s, block after block."""
        felt = tuple(m for m in self.modulations if m.felt_at(self.rate))
        if not felt:
            return Poisson(self.rate).times(streams)
        scale = sum(m.variance for m in self.modulations)
        steady = sum(m.variance for m in self.modulations if m not in felt) / scale
        return rescaled(rate_windows(felt, steady, scale, streams), self.rate, streams)


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


@ARRIVALS.register("gamma")
def gamma(parameters: ArrivalParameters) -> GammaRenewal:
    """Build renewal arrivals with Gamma gaps."""
    return GammaRenewal(parameters.rate, _cv("gamma", parameters))


@ARRIVALS.register("weibull")
def weibull(parameters: ArrivalParameters) -> WeibullRenewal:
    """Build renewal arrivals with Weibull gaps."""
    return WeibullRenewal(parameters.rate, _cv("weibull", parameters))


@ARRIVALS.register("markov_modulated")
def markov_modulated(parameters: ArrivalParameters) -> MarkovModulatedPoisson:
    """Build Poisson arrivals whose rate jumps between states."""
    return MarkovModulatedPoisson(parameters.rate, parameters.states)


def _cv(law: str, parameters: ArrivalParameters) -> float:
    if parameters.interarrival_cv is None:
        raise ConfigError(
            f"arrivals are {law!r}, but nothing says how irregular; set workload.interarrival_cv, "
            "the coefficient of variation of the times between arrivals (1 is as Poisson)."
        )
    return parameters.interarrival_cv
