"""SM-UCRL: the spectral learner whose policies remember one observation.

Azizzadenesheli, Lazaric and Anandkumar, "Reinforcement Learning of POMDPs using Spectral Methods",
COLT 2016. Policies are memoryless and stochastic: every action has the chance iota at least. An
action's moments come from the one episode that took it most often, not from all; an episode ends
when it has taken some action twice as often as any before. Against the best belief policy its
regret is linear, by what memory is worth.

Two differences. A policy acts on ``o_{t-1}`` instead of ``o_t``, as all learners here do, so that
moments need no correction. And it is sought among those that give one action per observation all
the chance that iota leaves: from each constant policy on, the change at one observation that pays
most is made while any pays. The best memoryless policy may be more mixed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.control.controllers import last_observation
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.pomdp import Array, Pomdp, stationary
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.speculation.control.spectral_learner import SpectralLearner, explore
from simulator.streams import Streams

Integers = NDArray[np.int64]

_GAIN = 1e-12
"""What rounding alone may add to an average reward."""


class MemorylessSpectralUcrl:
    """Learns one action per last observation.

    Parameters
    ----------
    known
        What is known of the process.
    settings
        T_0, iota, optimism.
    grid
        Of no use to it: it plans without beliefs.
    streams
        All chance of the learner.
    """

    def __init__(
        self, known: Known, settings: LearnerSettings, grid: BeliefGrid, streams: Streams
    ) -> None:
        self._known, self._settings = known, settings
        self._learned = SpectralLearner(known, settings, grid, streams)
        self._episode = 0

    def next(self, seen: Stretch | None) -> Phase:
        """Return the phase to come: exploring at first, then one policy after another.

        Raises
        ------
        NotLearnableError
            If nothing can be learned from the first exploration.
        """
        known, settings = self._known, self._settings
        if seen is None:
            return explore(known, settings.first_exploration)
        episode = TripleMoments(known.actions, known.symbols)
        episode.add(seen.observations, seen.actions)
        self._learned.keep_larger(episode)
        self._episode += 1
        learned = self._learned.learn(self._episode, policies=1)
        spread = known.actions * settings.least_chance
        found = [memoryless_policy(model, spread) for model in learned.models]
        policy = max(found, key=lambda pair: pair[1])[0]
        controller = last_observation(np.eye(known.actions)[policy])
        return Phase(
            "exploit",
            controller,
            exploration=spread,
            visits=2.0 * self._learned.visits,
            conditioning=learned.conditioning,
            note=learned.note,
        )


def memoryless_policy(model: Pomdp, spread: float) -> tuple[Integers, float]:
    """Return an action by last observation, and the average reward.

    Parameters
    ----------
    model
        The process.
    spread
        Chance that an interval draws its action uniformly instead.

    Examples
    --------
    >>> stay, leave = [[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]
    >>> seen = Pomdp([stay, leave], [[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])
    >>> policy, reward = memoryless_policy(seen, spread=0.0)
    >>> policy.tolist(), round(reward, 3)
    ([0, 1], 0.682)
    """
    starts = np.repeat(np.arange(model.actions)[:, None], model.symbols, axis=1)
    return max((_climbed(model, spread, start) for start in starts), key=lambda pair: pair[1])


def _climbed(model: Pomdp, spread: float, policy: Integers) -> tuple[Integers, float]:
    """Change a policy at the one observation that pays most, while any does."""
    places = np.arange(model.symbols * model.actions)
    best = float(_rewards(model, spread, policy[None])[0])
    while True:
        candidates = np.repeat(policy[None], len(places), axis=0)
        candidates[places, places // model.actions] = places % model.actions
        paid = _rewards(model, spread, candidates)
        first = int(np.argmax(paid))
        if paid[first] <= best + _GAIN:
            return policy, best
        policy, best = candidates[first], float(paid[first])


def _rewards(model: Pomdp, spread: float, policies: Integers) -> Array:
    """Return the average reward of policies [K, O], from the chain of (state, last observation)."""
    chances = (1.0 - spread) * np.eye(model.actions)[policies] + spread / model.actions
    moves = np.einsum("kia,ast->kist", chances, model.transitions)
    chain = np.einsum("kist,sj->ksitj", moves, model.observations)
    size = model.states * model.symbols
    shares = stationary(chain.reshape(-1, size, size)).reshape(-1, model.states, model.symbols)
    return np.asarray(shares.sum(axis=2) @ model.state_rewards)
