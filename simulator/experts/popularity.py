"""How popular the experts of a layer are, with everybody and with the requests of one batch.

The score of an expert is ``b + r + a + Gumbel`` (`experts.sampling`), and a token takes the K best.
With many experts the K-th best score hardly varies, so a token picks an expert whose lasting score
is ``z`` with chance ``q(z) = E_a[1 - exp(-exp(z + a - h))]``, the threshold h such that the chances
of all experts sum to K. What lasts depends on who looks: over all traffic the popularity ``b``,
over the steps of one batch ``b`` and the preferences ``r`` of its requests. How ``a`` drifts from
token to token is averaged out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.experts.sampling import Archetype
from simulator.streams import Streams

Floats = NDArray[np.float64]

LAYERS = 8
"""Layers over which the preferences of a batch are averaged."""

MOST_REQUESTS = 32
"""Requests whose preferences are drawn; those of more average out to about the same."""

_NORMAL = np.linspace(-6.0, 6.0, 241)
_WEIGHTS = np.exp(-(_NORMAL**2) / 2) / np.exp(-(_NORMAL**2) / 2).sum()
"""Standard normal values, and their weights in a sum that stands for an expectation."""
_SCORES, _SURE = np.linspace(-8.0, 8.0, 321), 30.0
"""Lasting preferences of the table, in standard deviations, and the distance above the threshold
from which an expert is picked for certain: ``exp(-exp(30))`` is 0."""


def overall_popularity(archetype: Archetype) -> Floats:
    """Return the chance that a token of any request picks each expert, the most popular first.

    Parameters
    ----------
    archetype
        How tokens share experts; its popularity enters by evenly spaced quantiles.

    Returns
    -------
    ndarray of float, shape (E,)
        Sums to K.

    Examples
    --------
    >>> popularity = overall_popularity(Archetype(experts=4, top_k=2, popularity_sd=1.0))
    >>> popularity.round(2).tolist(), float(popularity.sum().round(9))
    ([0.87, 0.58, 0.37, 0.18], 2.0)
    """
    experts = archetype.experts
    quantiles = scipy.special.ndtri(1.0 - (np.arange(experts) + 0.5) / experts)
    changing = np.hypot(archetype.request_sd, archetype.token_sd)
    chances = _chances(archetype, archetype.popularity_sd * quantiles, changing)
    popularity: Floats = np.minimum(chances * (archetype.top_k / chances.sum()), 1.0)
    return popularity


@lru_cache(maxsize=512)
def batch_exposure(archetype: Archetype, requests: int) -> Floats:
    """Return how often the requests of a batch call for each expert, one token of each.

    Parameters
    ----------
    archetype
        How tokens share experts.
    requests
        Requests of the batch, 1 to `MOST_REQUESTS`.

    Returns
    -------
    ndarray of float, shape (LAYERS, E)
        ``-sum_r log(1 - q(b + r))``: tokens ``t`` of each request leave an expert alone with chance
        ``exp(-t exposure)``. Preferences are drawn, `LAYERS` layers from fixed streams.
    """
    streams, scores = Streams(seed=0), np.empty((LAYERS, requests, archetype.experts))
    for layer in range(LAYERS):
        generator = streams.block("batch popularity", layer)
        popularity = generator.standard_normal(archetype.experts)
        preference = generator.standard_normal((requests, archetype.experts))
        scores[layer] = archetype.popularity_sd * popularity + archetype.request_sd * preference
    chances = _chances(archetype, scores, archetype.token_sd)
    exposure: Floats = -np.log1p(-np.clip(chances, 1e-12, 1.0 - 1e-12)).sum(axis=1)
    return exposure


def _chances(archetype: Archetype, lasting: Floats, changing_sd: float) -> Floats:
    """Return ``q`` at lasting scores, the rest of the deviation changing from token to token."""
    spread = np.hypot(archetype.popularity_sd, archetype.request_sd)
    threshold = _threshold(archetype, float(np.hypot(spread, archetype.token_sd)))
    grid = max(spread, 1e-9) * _SCORES
    table = _above(grid[:, None] + changing_sd * _NORMAL - threshold) @ _WEIGHTS
    chances: Floats = np.interp(lasting, grid, table)
    return chances


def _threshold(archetype: Archetype, spread: float) -> float:
    """Return h: the score that K of E experts exceed on average."""
    share = archetype.top_k / archetype.experts
    if share >= 1.0:
        return -np.inf

    def excess(threshold: float) -> float:
        return float(_above(spread * _NORMAL - threshold) @ _WEIGHTS) - share

    reach = _SURE + 6.0 * spread
    return float(scipy.optimize.brentq(excess, -reach, reach))


def _above(distance: Floats) -> Floats:
    """Return the chance that a standard Gumbel score exceeds minus a distance."""
    chance: Floats = -np.expm1(-np.exp(np.minimum(distance, _SURE)))
    return chance
