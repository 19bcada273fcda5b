"""Mixed Spectral Estimation (algorithm 1 of the paper): a model from pooled moments.

``O = sum_a (N_a / N) V_2^(a)`` over aligned actions (equation 9) and ``T_a(. | s) = O^+ m_s^(a)``,
m_s being column s of V_3^(a) (equation 10). Both are clipped and scaled to distributions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.speculation.control.alignment import best_order
from simulator.speculation.control.assumptions import require_usable
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.pomdp import Array
from simulator.speculation.control.results import Conditioning
from simulator.speculation.control.spectral import Views, distributions, recover_views


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A model learned from moments; states are numbered as the most visited action found them.

    Parameters
    ----------
    transitions
        Shape [A, S, S].
    observations
        Shape [S, O].
    views
        By action, aligned.
    conditioning
        How well the moments determine it.
    """

    transitions: Array
    observations: Array
    views: tuple[Views, ...]
    conditioning: Conditioning


def estimate(moments: TripleMoments, states: int, generator: np.random.Generator) -> Estimate:
    """Estimate a model with S states from pooled moments.

    Parameters
    ----------
    moments
        Pooled over policies that were blind, or weighted by inverse propensities.
    states
        S, at most the number of observations.
    generator
        Where the tensor power method starts.

    Raises
    ------
    NotLearnableError
        If there are more states than observations, an action was not visited, or moments lack rank.

    Examples
    --------
    >>> from simulator.speculation.control.controllers import blind
    >>> from simulator.speculation.control.pomdp import Pomdp
    >>> from simulator.speculation.control.population import population_moments
    >>> truth = Pomdp([[[0.9, 0.1], [0.2, 0.8]]], [[0.7, 0.3], [0.1, 0.9]], [1.0, 0.0])
    >>> exact = population_moments(truth, [blind([1.0], symbols=2)])
    >>> found = estimate(exact, 2, np.random.default_rng(1))
    >>> order = best_order(found.observations.T, truth.observations.T)
    >>> found.observations[order].round(6).tolist()
    [[0.7, 0.3], [0.1, 0.9]]
    """
    require_usable(moments, states)
    found = [
        recover_views(moments.joint(action), states, generator) for action in range(moments.actions)
    ]
    shares = _shares(moments.visits)
    reference = found[int(np.argmax(shares))].second
    views = tuple(part.ordered(best_order(part.second, reference).tolist()) for part in found)
    columns = sum(share * part.second for share, part in zip(shares, views, strict=True))
    inverse = np.linalg.pinv(columns)
    transitions = np.stack([distributions(inverse @ part.third).T for part in views])
    conditioning = Conditioning(
        visits=moments.visits.copy(),
        views=np.array(
            [_smallest(moments.joint(a).sum(axis=1), states) for a in range(moments.actions)]
        ),
        observations=_smallest(columns, states),
        transitions=np.array([_smallest(matrix, states) for matrix in transitions]),
        disagreement=np.array([np.abs(part.second - columns).sum(axis=0).max() for part in views]),
    )
    return Estimate(transitions, np.asarray(columns).T, views, conditioning)


def _shares(visits: Array) -> Array:
    """Return each action's share of the visits; equal shares for exact moments."""
    finite = np.where(np.isinf(visits), 1.0, visits)
    return np.asarray(finite / finite.sum())


def _smallest(matrix: Array, states: int) -> float:
    return float(np.linalg.svd(matrix, compute_uv=False)[states - 1])
