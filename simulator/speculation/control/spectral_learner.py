"""What spectral learners share: moments so far, the estimate from them, plausible models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simulator.speculation.control.bounds import ErrorBounds, error_bounds, within_earlier
from simulator.speculation.control.controllers import constant
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.estimate import Estimate, estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.optimism import optimistic_plan, plausible_models
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.results import Conditioning
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.streams import Streams


class Learned(NamedTuple):
    """What moments say.

    Parameters
    ----------
    models
        The estimate and others that the data allow.
    conditioning
        How well moments determine the estimate.
    note
        Why an older estimate stands in; empty where it does not.
    """

    models: Iterator[Pomdp]
    conditioning: Conditioning
    note: str


class SpectralLearner:
    """Pools moments and turns them into plans.

    Parameters
    ----------
    known
        What is known of the process.
    settings
        Optimism and delta.
    grid
        Over beliefs about the supposed states.
    streams
        All chance of the learner.
    """

    def __init__(
        self, known: Known, settings: LearnerSettings, grid: BeliefGrid, streams: Streams
    ) -> None:
        self._known, self._settings, self._grid, self._streams = known, settings, grid, streams
        self._moments = TripleMoments(known.actions, known.symbols)
        self._found: Estimate | None = None
        self._earlier: list[tuple[Estimate, ErrorBounds]] = []

    @property
    def visits(self) -> Array:
        """Triples pooled by action, shape [A]."""
        return self._moments.visits.copy()

    def add(self, seen: Stretch) -> None:
        """Pool the triples of a stretch."""
        self._moments.add(seen.observations, seen.actions)

    def keep_larger(self, other: TripleMoments) -> None:
        """Of each action keep its own moments or others', whichever has more triples."""
        larger = other.visits > self._moments.visits
        self._moments.sums[larger] = other.sums[larger]
        self._moments.visits = np.maximum(self._moments.visits, other.visits)

    def learn(self, episode: int, policies: int) -> Learned:
        """Estimate from all moments kept.

        Where these are unusable for once, the last estimate stays.

        Parameters
        ----------
        episode
            l, 1 for the first: ``delta_l = delta / (3 S A l^3)``.
        policies
            L, trajectories pooled.

        Raises
        ------
        NotLearnableError
            If moments are unusable and there is no estimate yet.
        """
        known, settings, note = self._known, self._settings, ""
        generator = self._streams.block("control.learner", episode)
        try:
            self._found = estimate(self._moments, known.states, generator)
        except NotLearnableError as problem:
            if self._found is None:
                raise
            note = str(problem)
        delta = settings.delta / (3 * known.states * known.actions * episode**3)
        own = error_bounds(self._found, policies, delta, settings.optimism)
        radii = within_earlier(self._found, own, self._earlier)
        self._earlier.append((self._found, own))
        models = plausible_models(self._found, known.rewards, radii, settings.models, generator)
        return Learned(models, self._found.conditioning, note)

    def exploit(
        self,
        episode: int,
        policies: int,
        intervals: int | None = None,
        visits: Array | None = None,
    ) -> Phase:
        """Return a phase that follows the optimistic plan, up to limits (`learn`, `Phase`)."""
        learned = self.learn(episode, policies)
        best = optimistic_plan(learned.models, self._grid)
        return Phase("exploit", best, 0.0, intervals, visits, learned.conditioning, learned.note)


def explore(known: Known, intervals: int) -> Phase:
    """Return a phase of uniformly drawn actions."""
    return Phase("explore", constant(0, known.actions, known.symbols), 1.0, intervals)
