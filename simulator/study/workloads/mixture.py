r"""Lognormal mixtures fitted to counted lengths by expectation-maximisation (EM).

The law is that of `workload.lengths.LognormalMixture`: a lognormal mixture rounded to whole tokens
and clipped to a range. A length of ``k`` tokens therefore says only that ``ln X`` lay in
``[ln(k - 1/2), ln(k + 1/2))``, the shortest that it lay anywhere below and the longest that it lay
anywhere above. EM for such grouped and censored data (McLachlan and Jones, Biometrics 44, 1988,
571-578; Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1977) takes the moments of the truncated
normal in each interval in place of the data. No likelihood exceeds 1 per request, so that a
component can shrink to a single length without the likelihood running away.

Components are added one at a time, where they raise the likelihood most (Verbeek, Vlassis and
Kröse, Neural Computation 15, 2003, 469-485). Their number has the least Bayesian information
criterion, ``BIC = (3 m - 1) ln n - 2 ln L`` (Schwarz, Ann. Statist. 6, 1978), among those whose
quantiles at 50, 90 and 99 % come within ``TOLERANCE`` of those counted: a likelihood is of the
bulk, while capacity is planned on the tail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

from simulator.errors import DataError
from simulator.study.workloads.lengths import QUANTILES, CountedLengths
from simulator.workload.lengths import LognormalMixture

Floats = NDArray[np.float64]

NARROWEST = 1e-4
"""Least sigma (kind: assumed): narrower than a token at any length below 5,000."""

TOLERANCE = 0.05
"""Relative error that a quantile may have (kind: assumed)."""

_CELL = 0.003
"""Width of the intervals that long lengths are grouped into, in the logarithm (kind: assumed):
below 333 tokens every length stands alone, and the work does not grow with the range of lengths."""

_STANDS_OUT = 0.002
"""A length that more than this share of the requests has keeps an interval of its own: a peak."""

_PATIENCE = 3
"""So many components that do not lower the BIC end the search; fewer miss narrow peaks."""

_MOST_STEPS, _GAIN_PER_REQUEST = 300, 1e-6
"""EM ends after so many steps, or once a step gains less log-likelihood than that."""

_CENTRES, _WIDTHS, _SHARES = 48, (0.02, 0.1, 0.3, 0.8), (0.02, 0.08, 0.25)
"""Where a component is tried: at so many quantiles, with such sigmas, weights (kind: assumed)."""


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Intervals of the logarithm of the length, and how many lengths fell into each."""

    low: Floats
    high: Floats
    count: Floats


@dataclass(frozen=True, slots=True)
class _Mixture:
    """Parameters of a mixture of normals, shape (components,)."""

    weight: Floats
    mu: Floats
    sigma: Floats


def fit_mixture(lengths: CountedLengths, max_components: int) -> LognormalMixture:
    """Fit a lognormal mixture to counted lengths; BIC chooses the number of components.

    The range of the law is that of the lengths.

    Parameters
    ----------
    lengths
        What was counted, at least one.
    max_components
        Most components tried, >= 1.

    Raises
    ------
    DataError
        If nothing was counted.

    Examples
    --------
    >>> generator = np.random.default_rng(1)
    >>> drawn = np.exp(generator.normal(6.0, 0.5, 20_000)).astype(np.int64)
    >>> counted = CountedLengths()
    >>> counted.add(drawn)
    >>> law = fit_mixture(counted, max_components=3)
    >>> len(law.weights), round(law.mu[0], 1), round(law.sigma[0], 1)
    (1, 6.0, 0.5)
    """
    if not lengths.total:
        raise DataError("no lengths to fit: the trace holds no request.")
    tried: list[tuple[float, float, LognormalMixture]] = []
    for mixture, likelihood in islice(_growing(_grouped(lengths)), max_components):
        law = _law(mixture, lengths)
        bic = (3 * mixture.mu.size - 1) * float(np.log(lengths.total)) - 2 * likelihood
        missed = max(_missed(law, lengths) - TOLERANCE, 0.0)
        tried.append((missed, bic, law))
        best = min(range(len(tried)), key=lambda one: tried[one][1])
        if len(tried) - best > _PATIENCE and not min(one[0] for one in tried):
            break
    return min(tried, key=itemgetter(0, 1))[2]


def _law(mixture: _Mixture, lengths: CountedLengths) -> LognormalMixture:
    """Return the law, its numbers rounded as they are written, largest component first."""
    order = np.argsort(-mixture.weight)
    weight = np.round(mixture.weight[order] / mixture.weight.sum(), 6)
    weight[0] += 1.0 - weight.sum()
    found = weight > 0
    mu, sigma = (np.round(of[order], 6)[found] for of in (mixture.mu, mixture.sigma))
    return LognormalMixture(
        tuple(np.round(weight[found], 6).tolist()),
        tuple(mu.tolist()),
        tuple(sigma.tolist()),
        lengths.shortest,
        lengths.longest,
    )


def _missed(law: LognormalMixture, lengths: CountedLengths) -> float:
    """Return the largest relative error of the quantiles that people plan with."""
    probabilities = list(QUANTILES.values())
    counted = lengths.quantile(probabilities).tolist()
    drawn = [law.quantile(probability) for probability in probabilities]
    return float(np.abs(np.array(drawn) / np.array(counted) - 1).max())


def _grouped(lengths: CountedLengths) -> _Grouped:
    """Group lengths into cells of one token, or of ``_CELL`` in the logarithm where that is more.

    A length that stands out keeps an interval of its own, and its neighbours end beside it.
    """
    first, last, count = lengths.bins()
    alone = count > lengths.total * _STANDS_OUT
    cell = np.floor(np.log(first) / _CELL)
    new = (np.diff(cell, prepend=-1.0) != 0) | alone | np.append(False, alone[:-1])
    begin = np.flatnonzero(new)
    first, last = first[begin], last[np.append(begin[1:], first.size) - 1]
    cell, alone = cell[begin], alone[begin]
    low = np.maximum(np.ceil(np.exp(cell * _CELL)), np.append(0, last[:-1] + 1))
    high = np.minimum(np.ceil(np.exp((cell + 1) * _CELL)) - 1, np.append(first[1:] - 1, np.inf))
    low, high = (np.where(alone, own, end) for own, end in ((first, low), (last, high)))
    log_low = np.log(np.minimum(low, first) - 0.5)
    log_high = np.log(np.maximum(high, last) + 0.5)
    log_low[0], log_high[-1] = -np.inf, np.inf
    return _Grouped(log_low, log_high, np.add.reduceat(count, begin).astype(np.float64))


def _growing(data: _Grouped) -> Iterator[tuple[_Mixture, float]]:
    """Yield mixtures of one, two, ... components and their log-likelihoods, without end."""
    middle = _middles(data)
    mean = float(np.average(middle, weights=data.count))
    spread = max(float(np.sqrt(np.average((middle - mean) ** 2, weights=data.count))), NARROWEST)
    mixture = _Mixture(np.ones(1), np.array([mean]), np.array([spread]))
    while True:
        mixture, likelihood = _maximise(data, mixture)
        yield mixture, likelihood
        mixture = _with_one_more(data, mixture)


def _middles(data: _Grouped) -> Floats:
    """Return a point of each interval: its middle, or its finite end."""
    low = np.where(np.isfinite(data.low), data.low, data.high)
    high = np.where(np.isfinite(data.high), data.high, low)
    middle: Floats = (np.where(np.isfinite(low), low, high) + high) / 2
    return np.where(np.isfinite(middle), middle, 0.0)


def _maximise(data: _Grouped, mixture: _Mixture) -> tuple[_Mixture, float]:
    """Run EM to its end."""
    before = -np.inf
    enough = _GAIN_PER_REQUEST * float(data.count.sum())
    for _ in range(_MOST_STEPS):
        better, likelihood = _step(data, mixture)
        if likelihood - before < enough:
            break
        mixture, before = better, likelihood
    return mixture, likelihood


def _step(data: _Grouped, mixture: _Mixture) -> tuple[_Mixture, float]:
    """Return the mixture after one step of EM, and the log-likelihood before it."""
    low, high = _standard(data, mixture.mu, mixture.sigma)
    log_mass = _log_mass(low, high)
    joint = log_mass + np.log(mixture.weight)
    total = logsumexp(joint, axis=1, keepdims=True)
    share = np.exp(joint - total) * data.count[:, None]
    mean, square = _moments(low, high, log_mass)
    weight = share.sum(axis=0)
    kept = weight > 1e-9 * data.count.sum()  # a component that explains nothing leaves
    share, mean, square = share[:, kept], mean[:, kept], square[:, kept]
    weight, mu, sigma = weight[kept], mixture.mu[kept], mixture.sigma[kept]
    shift = (share * mean).sum(axis=0) / weight
    variance = (share * (square - 2 * shift * mean + shift**2)).sum(axis=0) / weight
    better = _Mixture(
        weight / weight.sum(),
        mu + sigma * shift,
        np.maximum(sigma * np.sqrt(np.maximum(variance, 0.0)), NARROWEST),
    )
    return better, float((total[:, 0] * data.count).sum())


def _standard(data: _Grouped, mu: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Return the ends of intervals in units of each component, shape (intervals, components)."""
    return (data.low[:, None] - mu) / sigma, (data.high[:, None] - mu) / sigma


def _log_mass(low: Floats, high: Floats) -> Floats:
    """Return ``ln(Phi(high) - Phi(low))``, without cancellation in either tail."""
    upper = low > 0
    a, b = np.where(upper, -high, low), np.where(upper, -low, high)
    log_b = log_ndtr(b)
    gap = np.minimum(log_ndtr(a) - log_b, -1e-300)
    mass: Floats = log_b + np.log(-np.expm1(gap))
    return mass


def _moments(low: Floats, high: Floats, log_mass: Floats) -> tuple[Floats, Floats]:
    """Return mean and mean square of a standard normal between ``low`` and ``high``.

    ``m = (phi(a) - phi(b)) / P`` and ``1 + (a phi(a) - b phi(b)) / P``. Rounding may push them out
    of what an interval allows, ``a <= m <= b`` and a variance of at most ``(b - a)^2 / 4``: they
    are held to it.
    """
    density_low, density_high = (
        np.exp(-0.5 * np.minimum(end**2, 1e300) - 0.5 * np.log(2 * np.pi) - log_mass)
        for end in (low, high)
    )
    finite_low, finite_high = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    mean = np.clip(density_low - density_high, low, high)
    square = 1 + finite_low * density_low - finite_high * density_high
    widest = mean**2 + np.minimum((high - low) ** 2 / 4, 1.0)
    return mean, np.clip(square, mean**2, widest)


def _with_one_more(data: _Grouped, mixture: _Mixture) -> _Mixture:
    """Return the mixture with the component added that raises the likelihood most at once."""
    middle = _middles(data)
    steps = np.cumsum(data.count) / data.count.sum()
    at = np.searchsorted(steps, (np.arange(_CENTRES) + 0.5) / _CENTRES)
    mu, sigma = (grid.ravel() for grid in np.meshgrid(middle[at], _WIDTHS))
    now = logsumexp(
        _log_mass(*_standard(data, mixture.mu, mixture.sigma)) + np.log(mixture.weight), axis=1
    )
    new = _log_mass(*_standard(data, mu, sigma))
    best = (-np.inf, 0, 0.0)
    for weight in _SHARES:
        both = np.logaddexp(now[:, None] + np.log1p(-weight), new + np.log(weight))
        gains = data.count @ both
        found = int(np.argmax(gains))
        best = max(best, (float(gains[found]), found, weight))
    _, found, weight = best
    return _Mixture(
        np.append(mixture.weight * (1 - weight), weight),
        np.append(mixture.mu, mu[found]),
        np.append(mixture.sigma, sigma[found]),
    )
