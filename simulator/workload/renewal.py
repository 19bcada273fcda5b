r"""Renewal arrivals: independent gaps of one law, more or less regular than Poisson's.

Client by client, production traffic fits such laws: ServeGen (Xiang et al., arXiv 2505.09999)
describes each client by a Gamma or Weibull law of its gaps. Both have two parameters, here the
mean rate and the coefficient of variation (CV) of the gaps; CV 1 is Poisson.

A run starts in equilibrium: the first gap is what is left of one under way, which has the density
``(1 - F(x)) rate``. So the mean count in any window is exactly ``rate`` times its length. The
variance of counts over their mean tends to CV^2 in long windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.requests import BLOCK_REQUESTS

MIN_CV, MAX_CV = 0.05, 50.0
"""Accepted coefficients of variation (kind: assumed); nine tenths of ServeGen's traffic have 27 or
less."""


@dataclass(frozen=True)
class GammaRenewal:
    """Gaps of a Gamma law of shape ``1 / cv^2`` and mean ``1 / rate``.

    Parameters
    ----------
    rate
        Mean rate, requests/s, > 0.
    cv
        Coefficient of variation of the gaps, > 0.

    Examples
    --------
    >>> GammaRenewal(rate=2.0, cv=2.0).shape
    0.25
    """

    rate: float
    cv: float

    @property
    def shape(self) -> float:
        """Shape of the Gamma law."""
        return 1.0 / (self.cv * self.cv)

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        return _said("Gamma", self.rate, self.cv)

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Yield arrival times, s: block ``b`` comes from block ``b`` of the stream ``arrivals``.

        Only the start draws from ``arrivals.start`` too: a length-biased gap is Gamma of one more
        shape, of which a uniform share is left.
        """
        scale_s = 1.0 / (self.shape * self.rate)
        start = streams.block("arrivals.start", 0)
        first_s = start.random() * start.gamma(self.shape + 1.0, scale_s)
        clock_s = 0.0
        for block in count():
            gaps_s = streams.block("arrivals", block).gamma(self.shape, scale_s, BLOCK_REQUESTS)
            times_s = _accumulated(gaps_s, clock_s, None if block else first_s)
            clock_s = float(times_s[-1])
            yield times_s


@dataclass(frozen=True)
class WeibullRenewal:
    """Gaps of a Weibull law with the given mean and coefficient of variation.

    With shape k, ``cv^2 = G(1 + 2/k) / G(1 + 1/k)^2 - 1`` (G the Gamma function), and the scale is
    ``1 / (rate G(1 + 1/k))``. For a CV above 1 its tail is heavier than an exponential one.

    Parameters
    ----------
    rate
        Mean rate, requests/s, > 0.
    cv
        Coefficient of variation of the gaps, in `MIN_CV` to `MAX_CV`.

    Examples
    --------
    >>> round(WeibullRenewal(rate=2.0, cv=1.0).shape, 6)
    1.0
    """

    rate: float
    cv: float

    @cached_property
    def shape(self) -> float:
        """Shape of the Weibull law."""
        gammaln = scipy.special.gammaln

        def excess(log_shape: float) -> float:
            inverse = math.exp(-log_shape)
            ratio = gammaln(1.0 + 2.0 * inverse) - 2.0 * gammaln(1.0 + inverse)
            return float(ratio) - math.log1p(self.cv**2)

        return math.exp(scipy.optimize.brentq(excess, math.log(0.05), math.log(200.0), xtol=1e-12))

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        return _said("Weibull", self.rate, self.cv)

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Yield arrival times, s: block ``b`` comes from block ``b`` of the stream ``arrivals``.

        Only the start draws from ``arrivals.start`` too: where ``y`` is Gamma of shape ``1 + 1/k``,
        ``scale y^(1/k)`` is a length-biased gap, of which a uniform share is left.
        """
        power = 1.0 / self.shape
        scale_s = math.exp(-scipy.special.gammaln(1.0 + power)) / self.rate
        start = streams.block("arrivals.start", 0)
        first_s = start.random() * scale_s * start.gamma(1.0 + power) ** power
        clock_s = 0.0
        for block in count():
            gaps = streams.block("arrivals", block).standard_exponential(BLOCK_REQUESTS) ** power
            times_s = _accumulated(scale_s * gaps, clock_s, None if block else first_s)
            clock_s = float(times_s[-1])
            yield times_s


def _accumulated(
    gaps_s: NDArray[np.float64], clock_s: float, first_s: float | None
) -> NDArray[np.float64]:
    """Return the times that gaps lead to from a clock on; the first may be replaced."""
    if first_s is not None:
        gaps_s[0] = first_s
    times_s: NDArray[np.float64] = clock_s + np.cumsum(gaps_s)
    return times_s


def _said(law: str, rate: float, cv: float) -> str:
    return (
        f"arrivals: independent {law} gaps of coefficient of variation {cv:g} at a constant "
        f"{rate:g} requests/s"
    )
