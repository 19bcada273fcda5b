"""Partially observed Markov decision processes, and what can be believed of their state.

An interval t has a hidden state ``s_t``. The controller chooses ``a_t`` from what it saw before,
``o_t ~ O(. | s_t)`` is seen and pays ``r(o_t)``, and the state moves, ``s_{t+1} ~ T_a(. | s_t)``.

The controller acts on the **predictive belief** ``b_t(s) = P(s_t = s | o_{<t}, a_{<t})``. The paper
lets ``a_t`` depend on ``o_t`` as well. But moments of triples around an action (`moments`) need the
action to be chosen blind to ``o_t``: given the action, ``o_t`` would otherwise not follow O, and
no amount of data would mend the estimate. In serving the predictive belief is what there is:
telemetry of an interval arrives when the next one has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError

Array = NDArray[np.float64]

_ROUNDING = 1e-9
"""Rows that should sum to 1 may miss it by this."""


@dataclass(frozen=True, slots=True, eq=False)
class Pomdp:
    """A POMDP with finitely many states S, actions A and observations O.

    Parameters
    ----------
    transitions
        ``T[a, s, s'] = P(s' | s, a)``, shape [A, S, S].
    observations
        ``O[s, o] = P(o | s)``, shape [S, O].
    rewards
        ``r[o]``, what an interval with observation o is worth, shape [O].
    start
        Distribution of the first state, shape [S]; uniform if not given.

    Raises
    ------
    ConfigError
        If shapes do not fit, or a row is not a distribution.

    Examples
    --------
    >>> keep = [[0.9, 0.1], [0.2, 0.8]]
    >>> pomdp = Pomdp([keep], [[0.7, 0.3], [0.1, 0.9]], [1.0, 0.0])
    >>> stationary(pomdp.transitions[0]).round(3).tolist()
    [0.667, 0.333]
    """

    transitions: Array
    observations: Array
    rewards: Array
    start: Array | None = None

    def __post_init__(self) -> None:
        for name in ("transitions", "observations", "rewards"):
            object.__setattr__(self, name, np.array(getattr(self, name), float))
        if self.transitions.ndim != 3 or self.observations.ndim != 2 or self.rewards.ndim != 1:
            raise ConfigError(
                "a POMDP needs transitions [A, S, S], observations [S, O] and rewards [O], got "
                f"shapes {self.transitions.shape}, {self.observations.shape}, {self.rewards.shape}."
            )
        start = self.start
        if start is None:
            start = np.full(self.states, 1.0 / self.states)
        object.__setattr__(self, "start", np.array(start, float))
        self._check_shapes()
        for name in ("transitions", "observations", "start"):
            _check_rows(name, getattr(self, name))

    @property
    def actions(self) -> int:
        """Number of actions, A."""
        return int(self.transitions.shape[0])

    @property
    def states(self) -> int:
        """Number of states, S."""
        return int(self.observations.shape[0])

    @property
    def symbols(self) -> int:
        """Number of observations, O."""
        return int(self.observations.shape[1])

    @property
    def first_belief(self) -> Array:
        """Distribution of the first state, shape [S]."""
        return np.asarray(self.start)

    @property
    def state_rewards(self) -> Array:
        """Return ``g(s) = sum_o O(o | s) r(o)``, the expected reward of a state, shape [S]."""
        return np.asarray(self.observations @ self.rewards)

    @property
    def belief_steps(self) -> Array:
        """Return ``M[a, o] = diag(O[:, o]) T_a``, shape [A, O, S, S].

        ``b M[a, o]`` is the next predictive belief times the chance of o.
        """
        return np.asarray(np.einsum("so,ast->aost", self.observations, self.transitions))

    def relabelled(self, order: Sequence[int]) -> Pomdp:
        """Return the same process with its states in another order."""
        rows = np.asarray(order)
        return Pomdp(
            self.transitions[:, rows[:, None], rows[None, :]],
            self.observations[rows],
            self.rewards,
            self.first_belief[rows],
        )

    def _check_shapes(self) -> None:
        expected = {
            "transitions": (self.actions, self.states, self.states),
            "observations": (self.states, self.symbols),
            "rewards": (self.symbols,),
            "start": (self.states,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ConfigError(
                    f"{name} of a POMDP with {self.states} states, {self.symbols} observations "
                    f"and {self.actions} actions must have shape {shape}, "
                    f"got {getattr(self, name).shape}."
                )


def predictive_belief(pomdp: Pomdp, belief: Array, action: int, observation: int) -> Array:
    """Return the belief about the next state after an action and what it showed.

    ``b'(s') = sum_s b(s) O(o | s) T_a(s' | s) / sum_s b(s) O(o | s)``

    Parameters
    ----------
    pomdp
        The model.
    belief
        About the state of this interval before it was observed, shape [S] or [..., S].
    action, observation
        Of this interval.
    """
    weighed = np.asarray(belief) * pomdp.observations[:, observation]
    following = weighed @ pomdp.transitions[action]
    return np.asarray(following / following.sum(axis=-1, keepdims=True))


def stationary(chain: Array) -> Array:
    """Return the stationary distribution of a Markov chain.

    Parameters
    ----------
    chain
        ``P[x, y]``, rows sum to 1, one recurrent class; shape [X, X], or a stack [..., X, X].

    Returns
    -------
    ndarray
        ``d = d P``, from the nonsingular system ``d (I - P + 1 1') = 1'``, shape [..., X].
    """
    chain = np.asarray(chain, float)
    size = chain.shape[-1]
    system = np.swapaxes(np.eye(size) - chain + 1.0, -1, -2)
    shares = np.linalg.solve(system, np.ones((*chain.shape[:-2], size, 1)))[..., 0]
    # A transient state may come out a rounding below nothing.
    shares = np.maximum(shares, 0.0)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _check_rows(name: str, rows: Array) -> None:
    sums = rows.sum(axis=-1)
    # Written so that NaN is refused too.
    if not (np.all(rows >= 0) and np.all(np.abs(sums - 1.0) <= _ROUNDING)):
        raise ConfigError(
            f"rows of {name} of a POMDP must be distributions (none below 0, sum 1); the smallest "
            f"entry is {rows.min():.6g}, sums lie between {sums.min():.9g} and {sums.max():.9g}."
        )
