"""Moments of triples of observations around each action, pooled over policies.

A triple around ``a_t = a`` has the views ``v_1 = o_{t-1}``, ``v_2 = o_t`` and ``v_3 = o_{t+1}``,
one-hot. Given ``s_t`` and the action they are independent, if it was chosen blind to ``o_t``:

- ``V_2 = O`` and ``V_3^(a) = O T_a'`` do not depend on the policy (columns are states);
- ``V_1^(a, policy)`` and the weights of states do.

So the joint law of a triple, pooled over trajectories l of different policies, is ``sum_s w_s v1_s
(x) v2_s (x) v3_s`` with ``w = sum_l (n_l / N) w^(l)`` and the same V_2 and V_3 (theorem 5.3 of the
paper). All that is kept of any number of intervals is A O^3 sums.

A policy that looks at ``o_t`` breaks this: conditioned on the action ``o_t`` does not follow O.
Where the chance ``pi(a_t | h_t)`` of each action taken is known and never 0, weights ``1 / pi``
undo it (inverse propensity): in expectation actions are then as if drawn uniformly.
"""

from __future__ import annotations

import numpy as np

from simulator.errors import ConfigError
from simulator.speculation.control.pomdp import Array


class TripleMoments:
    """Pooled sums over triples, by action.

    Parameters
    ----------
    actions, symbols
        A and O.

    Examples
    --------
    >>> moments = TripleMoments(actions=2, symbols=2)
    >>> moments.add(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    >>> moments.visits.tolist()
    [1.0, 1.0]
    >>> moments.joint(1).tolist()  # o = 0, 1, 1 around the only a = 1
    [[[0.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """

    def __init__(self, actions: int, symbols: int) -> None:
        self.sums: Array = np.zeros((actions, symbols, symbols, symbols))
        """Weights summed by action, o_{t-1}, o_t and o_{t+1}, shape [A, O, O, O]."""
        self.visits: Array = np.zeros(actions)
        """Triples around each action, shape [A]; infinite for exact moments."""

    @classmethod
    def exact(cls, sums: Array) -> TripleMoments:
        """Return moments known without error, from the joint law [A, O, O, O]."""
        moments = cls(sums.shape[0], sums.shape[1])
        moments.sums = np.array(sums, float)
        moments.visits = np.where(moments.sums.sum(axis=(1, 2, 3)) > 0, np.inf, 0.0)
        return moments

    @property
    def actions(self) -> int:
        """Number of actions, A."""
        return len(self.visits)

    @property
    def symbols(self) -> int:
        """Number of observations, O."""
        return int(self.sums.shape[1])

    def add(
        self, observations: object, actions: object, propensities: object | None = None
    ) -> None:
        """Count the triples of a stretch of one trajectory.

        Parameters
        ----------
        observations, actions
            By interval, shape [T]; each interval but the first and the last has a triple.
        propensities
            ``pi(a_t | h_t)``, the chance that each action had, in (0, 1]. Only where actions
            looked at the observation of their own interval.

        Raises
        ------
        ConfigError
            If lengths differ, or a propensity is out of its range.
        """
        seen, taken = np.asarray(observations, np.int64), np.asarray(actions, np.int64)
        if seen.shape != taken.shape or seen.ndim != 1:
            raise ConfigError(
                "moments need as many actions as observations, got shapes "
                f"{taken.shape} and {seen.shape}."
            )
        weights = None
        if propensities is not None:
            chances = np.asarray(propensities, float)
            if chances.shape != taken.shape or not np.all((chances > 0) & (chances <= 1)):
                raise ConfigError(
                    "propensities must be chances above 0 and up to 1, one per action, got shape "
                    f"{chances.shape}, smallest {chances.min(initial=1.0):.6g}: explore with a "
                    "stated chance at every interval."
                )
            weights = 1.0 / chances[1:-1]
        symbols = self.symbols
        cells = ((taken[1:-1] * symbols + seen[:-2]) * symbols + seen[1:-1]) * symbols + seen[2:]
        self.sums += np.bincount(cells, weights, self.sums.size).reshape(self.sums.shape)
        self.visits += np.bincount(taken[1:-1], minlength=self.actions)

    def joint(self, action: int) -> Array:
        """Return the pooled joint law of the triple around an action, shape [O, O, O]."""
        sums = self.sums[action]
        return np.asarray(sums / sums.sum())
