"""Exact moments of a known process under known controllers: what infinitely many intervals give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.errors import ConfigError
from simulator.speculation.control.controllers import Controller
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.pomdp import Array, Pomdp, stationary


def joint_chain(pomdp: Pomdp, controller: Controller) -> Array:
    """Return the Markov chain of (state, node), shape [S M, S M].

    ``P(s', m' | s, m) = sum_{o, a} O(o | s) pi(a | m, o) T_a(s' | s) 1{m' = f(m, a, o)}``
    """
    nodes = len(controller.choice)
    arrives = np.eye(nodes)[controller.successor]
    chain = np.einsum(
        "so,moa,ast,maon->smtn",
        pomdp.observations,
        controller.choice,
        pomdp.transitions,
        arrives,
        optimize=True,
    )
    return np.asarray(chain.reshape(pomdp.states * nodes, -1))


def average_reward(pomdp: Pomdp, controller: Controller) -> float:
    """Return the long-run reward an interval of a controller."""
    shares = stationary(joint_chain(pomdp, controller)).reshape(pomdp.states, -1)
    return float(shares.sum(axis=1) @ pomdp.state_rewards)


def population_moments(
    pomdp: Pomdp,
    controllers: Sequence[Controller],
    shares: Sequence[float] | None = None,
    weighted: bool = False,
) -> TripleMoments:
    """Return the moments of infinitely long trajectories, pooled over controllers.

    Parameters
    ----------
    pomdp
        The process.
    controllers
        One per trajectory; each runs in its stationary regime.
    shares
        Length of each trajectory over that of all; equal if not given.
    weighted
        Weigh each triple with ``1 / pi(a_t | h_t)``.

    Raises
    ------
    ConfigError
        If triples are to be weighed and some action has no chance somewhere.
    """
    parts = np.full(len(controllers), 1.0 / len(controllers)) if shares is None else shares
    sums = sum(
        share * _joint_law(pomdp, controller, weighted)
        for controller, share in zip(controllers, parts, strict=True)
    )
    return TripleMoments.exact(np.asarray(sums))


def _joint_law(pomdp: Pomdp, controller: Controller, weighted: bool) -> Array:
    """Return ``P(a_t, o_{t-1}, o_t, o_{t+1})``, or its weighted form, shape [A, O, O, O]."""
    nodes = len(controller.choice)
    resting = stationary(joint_chain(pomdp, controller)).reshape(pomdp.states, nodes)
    choice = controller.choice
    # P(o_{t-1}, s_t, m_t)
    before = np.einsum(
        "sm,si,mia,ast,main->itn",
        resting,
        pomdp.observations,
        choice,
        pomdp.transitions,
        np.eye(nodes)[controller.successor],
        optimize=True,
    )
    if weighted:
        if np.any(choice <= 0):
            raise ConfigError(
                "inverse-propensity weights need every action to have a chance above 0, got "
                f"{choice.min():.6g}: explore with a stated chance."
            )
        choice = np.ones_like(choice)
    after = np.einsum("ast,tk->ask", pomdp.transitions, pomdp.observations)
    return np.asarray(
        np.einsum("itn,tj,nja,atk->aijk", before, pomdp.observations, choice, after, optimize=True)
    )
