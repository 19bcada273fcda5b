"""Sampled routing: which experts the tokens of requests pick in one layer.

The score of expert e for token t of request r is ``b_e + r_{r,e} + a_{t,e} + Gumbel``, and a token
takes the K best (the Gumbel top-k trick: K draws without replacement with weights ``exp(score)``;
Kool et al., arXiv 1903.06059). ``b ~ N(0, sb^2)`` is popularity common to all requests,
``r ~ N(0, sr^2)`` the preference of a request, and ``a`` the drift of its text, an AR(1) process
over its tokens with stationary deviation ``sa`` and persistence ``phi``. A Markov table from
expert to expert predicts routing logs worse than "same as the last token", so none is used.

Where routing is group-limited (DeepSeek-V3, arXiv 2412.19437, section 2.1.2), experts lie in equal
groups of consecutive ones, a group scores the sum of its two best experts, and a token takes its K
from the best few groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, TableError, unknown
from simulator.quantities import read_data, read_quantities
from simulator.streams import Streams

Floats = NDArray[np.float32]

Chosen = NDArray[np.integer[Any]]
"""Experts picked, of shape (requests, tokens, K)."""

_PACKAGE, _FILE = "simulator.workloads.routing", "archetypes"
_LAYERS, _SCORES, _TOKENS = 8, 2**17, 9
"""Of the draws that overlaps are found with: layers, scores of a layer, tokens of a request."""

_LARGEST_FACTOR = 4.0
"""Largest factor tried on request and token deviations (kind: assumed)."""

_HALVINGS = 10
"""Bisection from 0 to the largest factor: to 0.004."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archetype:
    """How tokens share experts.

    Parameters
    ----------
    experts, top_k
        Routed experts E of a layer and how many distinct ones a token uses, K.
    popularity_sd
        Deviation sb of the popularity of experts; drawn once per layer.
    request_sd
        Deviation sr of the preferences of a request; drawn once per request and layer.
    token_sd
        Stationary deviation sa of the drift over the tokens of a request.
    persistence
        Correlation phi of the drift from one token to the next, in [0, 1).
    n_group, topk_group
        Groups of experts, and the groups that a token may pick from; as many: no limit.
    """

    experts: int
    top_k: int
    popularity_sd: float = 0.0
    request_sd: float = 0.0
    token_sd: float = 0.0
    persistence: float = 0.0
    n_group: int = 1
    topk_group: int = 1

    def __post_init__(self) -> None:
        deviations = (self.popularity_sd, self.request_sd, self.token_sd)
        if not 1 <= self.top_k <= self.experts:
            raise ConfigError(f"archetype needs 1 <= top_k <= experts, got {self!r}.")
        if not all(value >= 0 for value in deviations) or not 0 <= self.persistence < 1:
            raise ConfigError(
                f"archetype needs deviations >= 0 and 0 <= persistence < 1, got {self!r}."
            )
        size, odd = divmod(self.experts, self.n_group)
        if odd or not self.top_k <= self.topk_group * size <= self.experts:
            raise ConfigError(
                f"archetype needs n_group equal groups, of which topk_group hold top_k experts, "
                f"got {self!r}."
            )

    def scaled(self, factor: float) -> Archetype:
        """Return the archetype with request and token deviations times a factor.

        One factor per layer reproduces how far the layers of Qwen3-30B-A3B differ (unions of 48
        layers within 3.2 % RMS).
        """
        return replace(self, request_sd=factor * self.request_sd, token_sd=factor * self.token_sd)


@dataclass(frozen=True, slots=True)
class MeasuredArchetype:
    """An archetype of a model, and the overlap that was measured on it.

    Parameters
    ----------
    archetype
        Its parameters as they stand in ``workloads/routing/archetypes.yaml``.
    overlap
        Share of its experts that a token shares with the token before it, mean over layers.
    layer_sd
        Standard deviation of that share over layers; 0 where it was not measured.
    """

    archetype: Archetype
    overlap: float
    layer_sd: float = 0.0


def archetype_names() -> list[str]:
    """List the models whose archetype is known."""
    return sorted(read_data(_PACKAGE, _FILE, "routing profile"))


def measured_archetype(model: str) -> MeasuredArchetype:
    """Return the archetype of a model and its measured overlap.

    Raises
    ------
    TableError
        If none is known; the message names the nearest.

    Examples
    --------
    >>> measured_archetype("qwen3_30b_a3b").overlap
    0.442
    """
    data = read_data(_PACKAGE, _FILE, "routing profile")
    if model not in data:
        raise TableError(unknown("routing archetype", model, data))
    found = read_quantities(data[model], f"workloads/routing/{_FILE}.yaml: {model}")
    values: dict[str, Any] = {key: quantity.value for key, quantity in found.items()}
    layer_sd = values.pop("layer_sd", 0.0)
    overlap, experts, top_k = (values.pop(key) for key in ("overlap", "experts", "top_k"))
    archetype = Archetype(experts=int(experts), top_k=int(top_k), **values)
    return MeasuredArchetype(archetype, overlap, layer_sd)


def sample_routing(
    archetype: Archetype, requests: int, tokens: int, streams: Streams, layer: int = 0
) -> Chosen:
    """Draw the experts that the first tokens of requests pick in one layer.

    Parameters
    ----------
    archetype
        How tokens share experts.
    requests, tokens
        How many requests, and how many consecutive tokens of each.
    streams
        Random streams of the replication.
    layer
        Index of the layer; keys the draws. All requests share the layer's popularity.

    Returns
    -------
    ndarray of int, shape (requests, tokens, K)
        Distinct experts of each token, in no order. Asking for more requests leaves those of the
        first as they were.

    Examples
    --------
    >>> routes = sample_routing(Archetype(experts=64, top_k=8), 3, 5, Streams(seed=1))
    >>> routes.shape
    (3, 5, 8)
    """
    shape = requests, tokens, archetype.experts
    return _best(archetype, _draw(shape, archetype.persistence, streams, layer))


class _Draws(NamedTuple):
    """Unit draws of one layer, before the deviations of an archetype scale them."""

    popularity: Floats
    preference: Floats
    drift: Floats
    noise: Floats


def _draw(shape: tuple[int, int, int], persistence: float, streams: Streams, layer: int) -> _Draws:
    popularity, preference, drift, noise = (
        streams.block(f"routing {name}", layer) for name in _Draws._fields
    )
    requests, _, experts = shape
    return _Draws(
        popularity.standard_normal(experts, np.float32),
        preference.standard_normal((requests, 1, experts), np.float32),
        _autoregressive(drift.standard_normal(shape, np.float32), persistence),
        _gumbel(noise, shape),
    )


def _gumbel(noise: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Return Gumbel noise, as minus the logarithm of exponential draws: half the time of others."""
    draws = noise.standard_exponential(shape, np.float32)
    np.maximum(draws, np.finfo(np.float32).tiny, out=draws)  # one in millions is zero
    np.log(draws, out=draws)
    return np.negative(draws, out=draws)


def _best(archetype: Archetype, draws: _Draws) -> Chosen:
    """Return the K experts of the highest score for each token."""
    score = np.float32(archetype.token_sd) * draws.drift
    score += draws.noise
    score += np.float32(archetype.request_sd) * draws.preference
    score += np.float32(archetype.popularity_sd) * draws.popularity
    if archetype.topk_group < archetype.n_group:
        _limit_groups(score, archetype)
    others = archetype.experts - archetype.top_k
    return np.argpartition(score, max(others - 1, 0), axis=-1)[..., others:]


def _limit_groups(score: Floats, archetype: Archetype) -> None:
    """Rule out, in place, the experts of all groups but the best of each token."""
    groups, kept = archetype.n_group, archetype.topk_group
    by_group = score.reshape(*score.shape[:-1], groups, -1)
    best = np.partition(by_group, -min(2, by_group.shape[-1]), axis=-1)[..., -2:].sum(axis=-1)
    dropped = np.argpartition(best, groups - kept - 1, axis=-1)[..., : groups - kept]
    np.put_along_axis(by_group, dropped[..., None], -np.inf, axis=-2)


def _autoregressive(innovations: Floats, persistence: float) -> Floats:
    """Turn independent unit normals into a stationary AR(1) along the second axis, in place."""
    fresh = np.float32(np.sqrt(1 - persistence**2))
    for token in range(1, innovations.shape[1]):
        innovations[:, token] *= fresh
        innovations[:, token] += np.float32(persistence) * innovations[:, token - 1]
    return innovations


def copies_by_expert(chosen: Chosen, experts: int) -> NDArray[np.int64]:
    """Count the token copies that reach each expert.

    Parameters
    ----------
    chosen
        Experts picked, shape (..., tokens, K); the last two axes are counted together.
    experts
        Routed experts E of the layer.

    Returns
    -------
    ndarray of int, shape (..., E)
        Sums to tokens times K. Experts above zero are the distinct ones.

    Examples
    --------
    >>> copies_by_expert(np.array([[0, 2], [2, 3]]), experts=4).tolist()
    [1, 0, 2, 1]
    """
    steps = chosen.reshape(*chosen.shape[:-2], -1)
    rows = steps.reshape(-1, steps.shape[-1])
    offset = experts * np.arange(len(rows))[:, None]
    counts = np.bincount((rows + offset).ravel(), minlength=experts * len(rows))
    return counts.reshape(*steps.shape[:-1], experts)


def copies_by_rank(by_expert: NDArray[np.int64], ranks: int) -> NDArray[np.int64]:
    """Sum counts by expert over the contiguous blocks of ranks (``experts.imbalance``).

    Parameters
    ----------
    by_expert
        Counts of shape (..., E).
    ranks
        Ranks R; the first ``E mod R`` hold one expert more.

    Returns
    -------
    ndarray of int, shape (..., R)

    Examples
    --------
    >>> copies_by_rank(np.array([1, 0, 2, 1, 5]), ranks=3).tolist()
    [1, 3, 5]
    """
    few, longer = divmod(by_expert.shape[-1], ranks)
    ends = np.cumsum([few + 1] * longer + [few] * (ranks - longer))
    below = np.concatenate([np.zeros_like(by_expert[..., :1]), by_expert.cumsum(axis=-1)], axis=-1)
    return np.diff(below[..., ends], axis=-1, prepend=0)


def lag_overlap(chosen: Chosen, lag: int = 1) -> float:
    """Return the mean share of its experts that a token shares with one `lag` tokens before.

    Parameters
    ----------
    chosen
        Experts picked, shape (requests, tokens, K), more tokens than the lag.
    lag
        Distance in tokens, >= 1.

    Examples
    --------
    >>> lag_overlap(np.array([[[0, 1], [1, 2], [1, 2]]]))
    0.75
    """
    same = chosen[:, lag:, :, None] == chosen[:, :-lag, None, :]
    return float(same.any(axis=-1).mean())


def calibrated(archetype: Archetype, overlap: float, streams: Streams) -> Archetype:
    """Scale request and token deviations until consecutive tokens overlap as measured.

    Parameters
    ----------
    archetype
        Where to start; its popularity and persistence are kept.
    overlap
        Measured share of experts that consecutive tokens share.
    streams
        Random streams; the same draws serve every trial.

    Returns
    -------
    Archetype
        ``archetype.scaled(factor)``, the factor found by bisection. Other draws overlap within
        0.01 of the measured share.

    Raises
    ------
    ConfigError
        If no factor reaches it: below what popularity and chance alone give, or above what the
        ratio of the deviations and the persistence allow.
    """
    reached = _overlap_by_factor(archetype, streams)
    low, high = 0.0, _LARGEST_FACTOR
    least, most = reached(low), reached(high)
    if not least <= overlap <= most:
        raise ConfigError(
            f"no factor brings {archetype!r} to an overlap of {overlap!r}; "
            f"it reaches {least:.3f} to {most:.3f}. Set routing.overlap within that, or change "
            f"routing.popularity_sd or the deviations."
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < overlap else (low, middle)
    return archetype.scaled((low + high) / 2)


def overlap_curve(archetype: Archetype, factors: Sequence[float], streams: Streams) -> list[float]:
    """Return how much consecutive tokens overlap, by the factor on the archetype's deviations.

    Parameters
    ----------
    archetype, streams
        As in `calibrated`, with the same draws.
    factors
        Arguments of `Archetype.scaled`.
    """
    return [*map(_overlap_by_factor(archetype, streams), factors)]


def _overlap_by_factor(archetype: Archetype, streams: Streams) -> Callable[[float], float]:
    requests = _SCORES // (_TOKENS * archetype.experts) + 1
    shape = (requests, _TOKENS, archetype.experts)
    layers = [_draw(shape, archetype.persistence, streams, layer) for layer in range(_LAYERS)]

    def reached(factor: float) -> float:
        trial = archetype.scaled(factor)
        return float(np.mean([lag_overlap(_best(trial, draws)) for draws in layers]))

    return reached
