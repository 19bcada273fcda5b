"""What a run of learners leaves: every interval, and every plan they made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.table import BeliefTable

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """How well moments determine a model, all from estimates.

    Parameters
    ----------
    visits
        Triples around each action, shape [A].
    views
        ``sigma_S(K_31)`` of each action, shape [A].
    observations
        ``sigma_S(O)``.
    transitions
        ``sigma_S(T_a)`` of each action, shape [A].
    disagreement
        Largest 1-norm distance, over states, of what an action's own moments say that a state
        shows from what all of them say together, shape [A]. It vanishes with more data if actions
        were chosen blind to the current observation, and does not if they were not.
    """

    visits: Array
    views: Array
    observations: float
    transitions: Array
    disagreement: Array


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of intervals under one policy.

    Parameters
    ----------
    first_interval
        Where it begins.
    purpose
        ``explore`` (actions drawn blindly) or ``exploit`` (the policy of a plan).
    model
        What the belief was computed with; None where nothing was believed.
    table
        The policy on beliefs; None where there was none.
    gain
        Average reward an interval that the plan expected; None without a plan.
    conditioning
        Of the estimate that the plan was made from; None without an estimate.
    note
        Why an estimate was not used, empty if it was.
    """

    first_interval: int
    purpose: str
    model: Pomdp | None = None
    table: BeliefTable | None = None
    gain: float | None = None
    conditioning: Conditioning | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LearnerRun:
    """One learner over all intervals, one row per seed.

    Parameters
    ----------
    learner
        Its name.
    seeds
        Seed of each row. Rows of all learners with equal seeds share the environment's draws.
    actions, observations
        By seed and interval, shape [seeds, intervals].
    episodes
        By seed, in order of time.
    """

    learner: str
    seeds: tuple[int, ...]
    actions: Bytes
    observations: Bytes
    episodes: tuple[tuple[Episode, ...], ...]

    def regret(self, rewards: Array, gain: float, checkpoints: Sequence[int]) -> Array:
        """Return the regret ``R_t = t rho - sum_{i < t} r(o_i)``.

        Parameters
        ----------
        rewards
            By observation, shape [O].
        gain
            rho, the average reward of the best policy.
        checkpoints
            Numbers of intervals t, rising.

        Returns
        -------
        ndarray
            Shape [seeds, checkpoints].
        """
        ends = np.asarray(checkpoints)
        return gain * ends - np.cumsum(rewards[self.observations], axis=1)[:, ends - 1]
