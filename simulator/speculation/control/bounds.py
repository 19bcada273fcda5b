"""How far an estimate may be off: theorem 5.4 of the paper, from estimated quantities alone.

With N triples in all, N_a around action a, L pooled policies, at a chance of ``1 - 3 S A delta``:

- ``|O^ - O|_F <= C_O / zeta  sqrt(S A L log(A L / delta) / N)``
- ``|T_a^ - T_a|_F <= C_T S / (sigma_S(O) zeta)  sqrt(A L log(A L / delta) / N_a)``
- ``zeta = min_a sigma_S(K_31^(a))  min_{a, view} (sqrt(w_min) sigma_S(V_view^(a)))^3``

The theorem has the true sigma, w and V; no learner has these, so the estimates stand in. Its
constants C_O and C_T are far too large to be of use (the paper's code sets both to 1e-11, which
turns them off). Here one number, the scale c, stands for both and is an input of the study.

A policy that has come to take an action in few states only makes zeta small, and a later bound
wider than an earlier one. Since the bounds of all episodes hold together, the truth lies in all of
their sets: by the triangle inequality within ``min_k (r_k + |X_k - X|)`` of the present estimate X,
over earlier estimates X_k and their radii r_k.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from simulator.speculation.control.alignment import best_order
from simulator.speculation.control.estimate import Estimate
from simulator.speculation.control.pomdp import Array


class ErrorBounds(NamedTuple):
    """Radii of the confidence set around an estimate, in Frobenius norm.

    Parameters
    ----------
    observations
        Of O.
    transitions
        Of T_a by action, shape [A].
    """

    observations: float
    transitions: Array


def error_bounds(found: Estimate, policies: int, delta: float, scale: float) -> ErrorBounds:
    """Return the radii of the confidence set.

    Parameters
    ----------
    found
        The estimate.
    policies
        L, number of pooled trajectories with policies of their own.
    delta
        Failure probability of the theorem.
    scale
        c, in the place of C_O and C_T; 0 trusts the estimate.
    """
    visits, states = found.conditioning.visits, len(found.observations)
    width = scale / separation(found)
    spread = len(visits) * policies * np.log(len(visits) * policies / delta)
    return ErrorBounds(
        float(width * np.sqrt(states * spread / visits.sum())),
        width * states / found.conditioning.observations * np.sqrt(spread / visits),
    )


def separation(found: Estimate) -> float:
    """Return zeta, which is small where states are rare or look alike."""
    states = len(found.observations)
    by_action = [
        np.sqrt(part.weights.min()) * np.linalg.svd(view, compute_uv=False)[states - 1]
        for part in found.views
        for view in part[:3]
    ]
    return float(found.conditioning.views.min() * min(by_action) ** 3)


def within_earlier(
    found: Estimate, radii: ErrorBounds, earlier: Iterable[tuple[Estimate, ErrorBounds]]
) -> ErrorBounds:
    """Return the radii that earlier bounds leave around an estimate.

    Parameters
    ----------
    found, radii
        The estimate and its own radii.
    earlier
        Estimates from part of the data, with their own radii; states numbered as they like.
    """
    observations, transitions = radii
    for other, bound in earlier:
        order = best_order(other.observations.T, found.observations.T)
        shown = np.linalg.norm(other.observations[order] - found.observations)
        moved = other.transitions[:, order[:, None], order[None, :]] - found.transitions
        distances = np.linalg.norm(moved, axis=(1, 2))
        observations = min(observations, bound.observations + float(shown))
        transitions = np.minimum(transitions, bound.transitions + distances)
    return ErrorBounds(observations, transitions)
