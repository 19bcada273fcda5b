"""How unevenly routed experts load the ranks of an expert-parallel group.

Experts lie on the ranks in contiguous blocks (``E // R`` each, the first ``E mod R`` ranks one
more), and every token picks K distinct experts, uniformly and independently of other tokens. Even
then the ranks of one step differ by chance, and the step waits for the slowest.

Two loads of a rank matter, each with a busiest rank of its own: its *token copies*, which set the
computation and the bytes exchanged, and its *distinct active experts*, which set the weights read.
The two maxima need not fall on one rank. Pricing one rank by both counts it a little busier than
any is.
"""

from __future__ import annotations

import math
from functools import lru_cache, reduce

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.laws import distinct_experts

Floats = NDArray[np.float64]

EXACT_COPIES = 256
"""Copies up to which the sum of the ranks' loads is held fixed; beyond, they count as
independent."""

_DEVIATIONS = 10.0
"""Standard deviations around the mean within which a maximum is summed."""

_POINTS = 512
"""Loads at which that sum is taken when there are more."""

_IDLE = 1e-4
"""Idle experts below which all count as active."""


def slowest_rank_share(tokens: float, top_k: int, experts: int, ranks: int) -> float:
    """Return the expected token copies of the rank with most, over the mean of all ranks.

    Parameters
    ----------
    tokens
        Independently routed tokens t, >= 0. A fraction between two counts is a chance of either.
        Tokens that share experts are fewer independent ones: ``RoutingLaw.independent_tokens``.
        That is a floor: copies vary more than distinct experts do. Over four ranks, sampled verify
        steps come out up to 9 % higher, a long prompt up to 28 % (``study.tables.routing``).
    top_k, experts
        Distinct experts K a token picks out of E.
    ranks
        Ranks R of the expert-parallel group.

    Returns
    -------
    float
        ``E[max_r X_r] R / (t K)`` with ``X_r`` the copies that reach rank r: at least 1, at most
        R, and never rising with t. It tends to 1 if R divides E, else to ``ceil(E/R) R / E``.

    Raises
    ------
    ConfigError
        If a count is out of range.

    Notes
    -----
    The copies of one token are multivariate hypergeometric, K draws out of E experts. Those of t
    tokens are taken as one draw of ``n = t K`` out of ``M = (n (E-1) - (E-K)) / (K-1)``, which has
    the same means and covariances, and is exact for t = 1 and for K = 1 (the multinomial,
    M infinite). Two tokens are counted exactly. The chance that no rank exceeds x is a ratio of
    coefficients, ``[z^n] prod_r sum_{j<=x} C(M_r, j) z^j / [z^n] prod_r (1+z)^M_r`` with
    ``M_r = M E_r / E`` (B. Levin, "A representation for multinomial cumulative distribution
    functions", Ann. Statist. 9(5), 1981). Beyond `EXACT_COPIES` copies the loads count as
    independent binomials, whose sum is then close to fixed. Within 1 % of Monte Carlo
    (``tests/experts/test_imbalance.py``).

    Examples
    --------
    Qwen1.5-MoE routes 4 of 60 experts; 25 decode tokens over 4 and 6 ranks (logs: 1.20 to 1.23 and
    1.30 to 1.35).

    >>> [round(slowest_rank_share(25, 4, 60, ranks), 2) for ranks in (4, 6)]
    [1.2, 1.31]
    """
    _check(tokens, top_k, experts, ranks)
    tokens = max(tokens, 1.0)  # less than one token is a chance of one
    if math.ceil(tokens) * top_k > EXACT_COPIES:
        load = _independent_load(tokens, top_k, experts, ranks)
    else:
        few = math.floor(tokens)
        load = _slowest_load(few, top_k, experts, ranks)
        if tokens > few:
            more = _slowest_load(few + 1, top_k, experts, ranks)
            load += (tokens - few) * (more - load)
    return max(load * ranks / (tokens * top_k), 1.0)


def slowest_rank_experts(independent_tokens: float, top_k: int, experts: int, ranks: int) -> float:
    """Return the expected distinct active experts of the rank with most.

    Parameters
    ----------
    independent_tokens
        Independently routed tokens t, >= 0, fractions are fine.
    top_k, experts, ranks
        As in `slowest_rank_share`.

    Returns
    -------
    float
        Between ``N/R`` and ``min(N, ceil(E/R))``, with ``N = E (1 - (1 - K/E)^t)`` the distinct
        experts of the layer; never falls with t.

    Notes
    -----
    Exact for whole t, linear between. The number of active experts is a Markov chain over the
    tokens: with m active, a token adds j with chance ``C(E-m, j) C(m, K-j) / C(E, K)``. Given m,
    all sets of m experts are equally likely, so no rank holds more than x of them with chance
    ``[z^m] prod_r sum_{j<=x} C(E_r, j) z^j / C(E, m)``.

    Examples
    --------
    >>> round(slowest_rank_experts(8, 8, 128, 8), 1)  # 51.6 of 128 active, 6.5 a rank on average
    9.3
    """
    _check(independent_tokens, top_k, experts, ranks)
    mean = distinct_experts(experts, top_k, independent_tokens) / ranks
    table = _busiest_experts(top_k, experts, ranks)
    few = min(int(independent_tokens), len(table) - 1)
    more = min(few + 1, len(table) - 1)
    most = table[few] + (independent_tokens - few) * (table[more] - table[few])
    return max(most, mean)


def _check(tokens: float, top_k: int, experts: int, ranks: int) -> None:
    if tokens >= 0 and 1 <= top_k <= experts and ranks >= 1:
        return
    raise ConfigError(
        f"expert loads need tokens >= 0, 1 <= top_k <= experts and ranks >= 1, got "
        f"tokens={tokens!r}, top_k={top_k!r}, experts={experts!r}, ranks={ranks!r}."
    )


def _blocks(experts: int, ranks: int) -> list[tuple[int, int]]:
    """Return ``(experts of a rank, ranks with so many)``; ranks without experts are left out."""
    few, longer = divmod(experts, ranks)
    return [
        (size, count) for size, count in ((few + 1, longer), (few, ranks - longer)) if size * count
    ]


@lru_cache(maxsize=1024)
def _busiest_experts(top_k: int, experts: int, ranks: int) -> tuple[float, ...]:
    """Return the active experts of the rank with most by tokens, until all but `_IDLE` are."""
    most = _most_of_active(experts, ranks)
    active, added = np.ogrid[: experts + 1, : min(top_k, experts) + 1]
    comb = scipy.special.comb
    ways = comb(experts - active, added) * comb(active, top_k - added)
    chances = ways / comb(experts, top_k)
    law, table = np.zeros(experts + 1), []
    law[0] = 1.0
    while law @ (experts - active[:, 0]) > _IDLE:
        table.append(float(law @ most))
        moved = law[:, None] * chances
        law = np.zeros_like(law)
        for count in range(top_k + 1):
            law[count:] += moved[: len(law) - count, count]
    return (*table, float(most[-1]))


def _most_of_active(experts: int, ranks: int) -> Floats:
    """Return the expected experts on the rank with most, by how many are drawn at random."""
    blocks = _blocks(experts, ranks)
    largest = blocks[0][0]
    chances = np.empty((largest + 1, experts + 1))
    for bound in range(largest + 1):
        ways = np.ones(1)
        for size, count in blocks:
            # a power of two a rank keeps the products of 2048 experts within floating point
            law = scipy.special.comb(size, np.arange(min(bound, size) + 1)) * 2.0 ** (-size / 2)
            for _ in range(count):
                ways = np.convolve(ways, law)
        chances[bound] = np.pad(ways, (0, experts + 1 - len(ways)))
    return np.asarray(np.sum(1.0 - chances / chances[-1], axis=0))


@lru_cache(maxsize=65536)
def _slowest_load(tokens: int, top_k: int, experts: int, ranks: int) -> float:
    """Return ``E[max_r X_r] = sum_x P(max_r X_r > x)``, the sum of the X_r held fixed."""
    copies, blocks = tokens * top_k, _blocks(experts, ranks)
    mean = copies * blocks[0][0] / experts
    if top_k == experts or ranks == 1:
        return mean
    target = (top_k, top_k) if tokens == 2 else (copies,)  # two tokens count apart: exact
    loads = sum(np.ix_(*[np.arange(count + 1) for count in target]))
    low = math.ceil(copies / ranks) - 1
    high = min(copies, math.ceil(mean + _DEVIATIONS * (math.sqrt(mean) + 1)))
    bounds = np.arange(low, high + 1).reshape(-1, *[1] * len(target))
    ways = []
    for size, count in blocks:
        if tokens == 2:
            law = np.multiply.outer(*[_law(np.arange(top_k + 1), size, top_k / experts)] * 2)
        else:
            law = _law(np.arange(copies + 1), *_draw(copies, top_k, experts, size))
        ways.append(_power(np.where(loads <= bounds, law, 0.0), count))
    chance = reduce(_multiply, ways)[(slice(None), *target)]
    return low + float(np.sum(1.0 - chance / chance[-1]))


def _independent_load(tokens: float, top_k: int, experts: int, ranks: int) -> float:
    """Return ``E[max_r X_r]``, the X_r taken as independent."""
    copies, blocks = tokens * top_k, _blocks(experts, ranks)
    mean = copies * blocks[0][0] / experts
    if top_k == experts or ranks == 1:
        return mean
    width = _DEVIATIONS * math.sqrt(mean)
    low = max(math.floor(mean - width), 0)
    stride = math.ceil(2 * width / _POINTS)
    bounds = np.arange(low, mean + width, stride) + (stride - 1) / 2
    below = np.ones_like(bounds)
    for size, count in blocks:
        below *= _at_most(bounds, *_draw(copies, top_k, experts, size)) ** count
    return low + stride * float(np.sum(1.0 - below))


def _draw(copies: float, top_k: int, experts: int, size: int) -> tuple[float, float]:
    """Return the population of a rank of `size` experts, and the share of it that is drawn.

    With one expert per token the population is infinite; then the mean stands for the share.
    """
    if top_k == 1:
        return math.inf, copies * size / experts
    population = (copies * (experts - 1) - (experts - top_k)) / (top_k - 1)
    return population * size / experts, copies / population


def _law(loads: NDArray[np.int64], population: float, share: float) -> Floats:
    """Return the binomial (infinite population: Poisson) chances of the loads."""
    gammaln = scipy.special.gammaln
    if math.isinf(population):
        return np.asarray(np.exp(loads * math.log(share) - share - gammaln(loads + 1)))
    rest = np.maximum(population - loads, 0.0)
    log_ways = gammaln(population + 1) - gammaln(loads + 1) - gammaln(rest + 1)
    chances = np.exp(log_ways + loads * math.log(share) + rest * math.log1p(-share))
    return np.where(loads <= population + 1e-9, chances, 0.0)


def _at_most(loads: Floats, population: float, share: float) -> Floats:
    """Return the distribution function of `_law`, of fractions too."""
    if math.isinf(population):
        return np.asarray(scipy.special.gammaincc(loads + 1, share))
    rest = np.maximum(population - loads, 1e-9)
    return np.where(loads < population, scipy.special.betainc(rest, loads + 1, 1 - share), 1.0)


def _power(polynomials: Floats, exponent: int) -> Floats:
    """Return each polynomial to an integer power >= 1, cut as in `_multiply`."""
    if exponent == 1:
        return polynomials
    root = _power(polynomials, exponent // 2)
    square = _multiply(root, root)
    return _multiply(square, polynomials) if exponent % 2 else square


def _multiply(one: Floats, other: Floats) -> Floats:
    """Multiply polynomials row by row; terms beyond the degrees of the first are dropped."""
    axes = tuple(range(1, one.ndim))
    sizes = [2 * length for length in one.shape[1:]]
    product = np.fft.rfftn(one, sizes, axes) * np.fft.rfftn(other, sizes, axes)
    kept = (slice(None), *(slice(length) for length in one.shape[1:]))
    return np.asarray(np.fft.irfftn(product, sizes, axes)[kept])
