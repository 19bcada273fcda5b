"""SM-UCRL: the spectral learner whose policies remember one observation.

Azizzadenesheli, Lazaric and Anandkumar, "Reinforcement Learning of POMDPs using Spectral Methods",
COLT 2016. Policies are memoryless and stochastic: every action has the chance iota at least. An
action's moments come from the one episode that took it most often, not from all; an episode ends
when it has taken some action twice as often as any before. Against the best belief policy its
regret is linear, by what memory is worth.

Two differences. A policy acts on ``o_{t-1}`` instead of ``o_t``, as all learners here do, so that
moments need no correction. And it is sought among those that give one action per observation all
the chance that iota leaves, changed at one observation at a time from each constant policy on, as
long as the average reward rises; the best memoryless policy may be more mixed.
"""

from __future__ import annotations

import numpy as np

from simulator.speculation.control.controllers import last_observation
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.population import average_reward
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.speculation.control.spectral_learner import SpectralLearner, explore
from simulator.streams import Streams


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


def memoryless_policy(model: Pomdp, spread: float) -> tuple[list[int], float]:
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
    >>> policy, round(reward, 3)
    ([0, 1], 0.682)
    """
    return max(
        (_climbed(model, spread, [action] * model.symbols) for action in range(model.actions)),
        key=lambda pair: pair[1],
    )


def _climbed(model: Pomdp, spread: float, policy: list[int]) -> tuple[list[int], float]:
    """Change a policy at one observation at a time while that pays."""
    even = np.full((model.symbols, model.actions), spread / model.actions)

    def reward(candidate: list[int]) -> float:
        chances = even + (1.0 - spread) * np.eye(model.actions)[candidate]
        return average_reward(model, last_observation(chances))

    best, climbing = reward(policy), True
    while climbing:
        climbing = False
        for symbol in range(model.symbols):
            for action in range(model.actions):
                candidate = [*policy[:symbol], action, *policy[symbol + 1 :]]
                paid = reward(candidate)
                if paid > best + 1e-12:
                    policy, best, climbing = candidate, paid, True
    return policy, best
