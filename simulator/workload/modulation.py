r"""Slowly varying request rates: a superposition of Gamma Ornstein-Uhlenbeck processes.

Real traffic is burstier than Poisson: its rate itself fluctuates. Here the rate is ``rate * m(t)``
with a stationary multiplier ``m(t) = sum_i X_i(t)`` of mean one. Each ``X_i`` is a shot noise: it
decays at rate ``1/tau_i`` and jumps, at exponential times of rate ``k_i/tau_i``, by exponential
amounts of mean ``V``. Its stationary law is then exactly ``Gamma(shape k_i, scale V)`` and its
autocorrelation exactly ``exp(-|h|/tau_i)`` (Barndorff-Nielsen and Shephard, J. R. Stat. Soc. B 63,
2001, sections 2 and 3; Gaver and Lewis, Adv. Appl. Probab. 12, 1980).

With ``V = sum_i v_i`` and ``k_i = v_i / V^2`` the component variances are the given ``v_i`` and the
means ``v_i / V`` sum to one. As the scales agree, the multiplier is itself exactly
``Gamma(1/V, V)``; its autocovariance is the *sum* ``sum_i v_i exp(-|h|/tau_i)``. (Multiplying two
modulations instead would add cross terms ``v_1 v_2`` and lose the Gamma marginal.)

Between jumps everything is a closed form, so there is no time grid: the integral of the multiplier
is exact, and inverting it maps a Poisson process of unit rate to the arrivals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.streams import Streams

NEGLIGIBLE_DISPERSION = 0.01
"""A fluctuation that adds less than this to the dispersion index of counts (1 for Poisson) is
replaced by its mean. Choice of precision (kind: assumed): it bounds the work at low rates."""

_WINDOW_TIME_CONSTANTS = 300.0
"""Length of a window in units of the shortest time constant; exp(300) is well inside a double."""

_NEWTON_STEPS = 80
"""Bracketed Newton needs about six steps; bisection alone, its fall-back, 50 for full precision."""


@dataclass(frozen=True, slots=True)
class Modulation:
    """One fluctuation of the request rate.

    Parameters
    ----------
    variance
        Variance of the rate, in units of the squared mean rate, >= 0.
    time_constant_s
        Time after which its autocorrelation has fallen to 1/e, s, > 0.

    Raises
    ------
    ConfigError
        If either is out of range.

    Examples
    --------
    >>> round(Modulation(4.75, 8.0).excess_count_cv2(60.0), 2)
    1.1
    """

    variance: float
    time_constant_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.variance < np.inf or not 0 < self.time_constant_s < np.inf:
            raise ConfigError(
                f"a rate modulation has variance {self.variance} and time constant"
                f" {self.time_constant_s} s; give a variance >= 0 and a time constant > 0."
            )

    def felt_at(self, rate: float) -> bool:
        """Tell whether it adds noticeably, by 2 v tau rate, to the dispersion of counts."""
        return 2.0 * self.variance * self.time_constant_s * rate >= NEGLIGIBLE_DISPERSION

    def excess_count_cv2(self, window_s: float) -> float:
        r"""Return the part of the squared CV of counts in windows of ``window_s`` due to it.

        ``v * 2 (tau/w)^2 (w/tau - 1 + exp(-w/tau))``: the variance of the time average, over ``w``,
        of a process with autocovariance ``v exp(-|h|/tau)``. Poisson counts add ``1/(rate w)``.
        """
        x = window_s / self.time_constant_s
        return float(self.variance * 2 * (x + np.expm1(-x)) / x**2)


@dataclass(frozen=True, slots=True)
class RateWindow:
    """The path of the multiplier over one window of time, exactly, in segments between jumps.

    Parameters
    ----------
    start_s
        Start of each segment since the start of the run, s, shape (n,).
    length_s
        Length of each segment, s, shape (n,).
    steady
        Constant part of the multiplier.
    level
        Value of each component at the start of each segment, shape (components, n).
    time_constant_s
        Their time constants, s, shape (components, 1).
    integral_s
        Integral of the multiplier from the start of the run to each segment boundary, s, (n + 1,).
    """

    start_s: NDArray[np.float64]
    length_s: NDArray[np.float64]
    steady: float
    level: NDArray[np.float64]
    time_constant_s: NDArray[np.float64]
    integral_s: NDArray[np.float64]

    def times_at(self, integral_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when the integral of the multiplier reaches the given values, s.

        Solved by Newton's method, bracketed by bisection, to 1e-12 of the window.

        Parameters
        ----------
        integral_s
            Values within this window (first boundary to last), s.
        """
        at = np.searchsorted(self.integral_s, integral_s, side="right") - 1
        at = np.clip(at, 0, self.length_s.size - 1)
        wanted = integral_s - self.integral_s[at]
        level, tau = self.level[:, at], self.time_constant_s
        low, high = np.zeros_like(wanted), self.length_s[at]
        tolerance_s = 1e-12 * float(self.length_s.sum())
        # The integral is concave within a segment, so its chord overshoots: a safe upper start.
        area = np.diff(self.integral_s)[at]
        guess = high * np.divide(wanted, area, out=np.zeros_like(wanted), where=area > 0)
        for _ in range(_NEWTON_STEPS):
            decayed = -np.expm1(-guess / tau)
            gap = self.steady * guess + (level * tau * decayed).sum(axis=0) - wanted
            slope = self.steady + (level * (1.0 - decayed)).sum(axis=0)
            high = np.where(gap > 0, guess, high)
            low = np.where(gap > 0, low, guess)
            step = np.divide(gap, slope, out=np.full_like(gap, np.inf), where=slope > 0)
            better = guess - step
            better = np.where((better >= low) & (better <= high), better, (low + high) / 2)
            moved = np.abs(better - guess).max(initial=0.0)
            guess = better
            if moved <= tolerance_s:
                break
        return self.start_s[at] + guess


def rate_windows(
    modulations: Sequence[Modulation], steady: float, scale: float, streams: Streams
) -> Iterator[RateWindow]:
    """Draw the path of the multiplier, window after window, without end.

    Window ``j`` draws the jumps of component ``i`` from block ``j + 1`` of the stream
    ``arrivals.modulation.i``, and block 0 draws its stationary start, so the draws of a window
    depend on nothing but its number. Only the levels and the integral are carried over; both follow
    from the windows before.

    Parameters
    ----------
    modulations
        The components that fluctuate, at least one, each with positive variance.
    steady
        Constant part of the multiplier.
    scale
        Gamma scale shared by all components (the total variance V).
    streams
        The random streams of the replication.
    """
    names = [f"arrivals.modulation.{i}" for i in range(len(modulations))]
    tau = np.array([[m.time_constant_s] for m in modulations])
    shape = [m.variance / scale**2 for m in modulations]
    span_s = _WINDOW_TIME_CONSTANTS * float(tau.min())
    level = np.array(
        [[streams.block(s, 0).gamma(k, scale)] for s, k in zip(names, shape, strict=True)]
    )
    start_s = integral_s = 0.0
    index = 1
    while True:
        drawn = []
        for stream, k, m in zip(names, shape, modulations, strict=True):
            generator = streams.block(stream, index)
            count = generator.poisson(k * span_s / m.time_constant_s)
            drawn.append((generator.random(count) * span_s, generator.exponential(scale, count)))
        window, level = _window(drawn, level, tau, steady, span_s, (start_s, integral_s))
        yield window
        start_s += span_s
        integral_s = float(window.integral_s[-1])
        index += 1


def _window(
    drawn: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    level: NDArray[np.float64],
    tau: NDArray[np.float64],
    steady: float,
    span_s: float,
    origin: tuple[float, float],
) -> tuple[RateWindow, NDArray[np.float64]]:
    """Build one window from its jumps and the levels before it; return it and the levels after."""
    jump_s = np.concatenate([times for times, _ in drawn])
    order = np.argsort(jump_s)
    knots_s = np.concatenate([[0.0], jump_s[order], [span_s]])
    sizes = np.zeros((len(drawn), knots_s.size))
    first = 0
    for row, (_, amounts) in zip(sizes, drawn, strict=True):
        own = np.zeros(jump_s.size)
        own[first : first + amounts.size] = amounts
        row[1:-1] = own[order]
        first += amounts.size
    # x(t) = exp(-t/tau) (x(0) + sum of jumps exp(s/tau)): all terms positive, so no cancellation.
    grown = level + np.cumsum(sizes * np.exp(knots_s / tau), axis=1)
    levels = grown * np.exp(-knots_s / tau)
    length_s = np.diff(knots_s)
    area = steady * length_s
    area = area + (levels[:, :-1] * tau * -np.expm1(-length_s / tau)).sum(axis=0)
    window = RateWindow(
        start_s=origin[0] + knots_s[:-1],
        length_s=length_s,
        steady=steady,
        level=levels[:, :-1],
        time_constant_s=tau,
        integral_s=origin[1] + np.concatenate([[0.0], np.cumsum(area)]),
    )
    return window, levels[:, -1:]
