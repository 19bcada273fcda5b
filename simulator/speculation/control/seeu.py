"""SEEU, spectral exploration and exploitation with upper confidence bounds: the baseline in phases.

Zhou, Xiong, Chen and Gao, "Regime Switching Bandits", NeurIPS 2021, in the form that the paper
compares with. Phase l = 1, 2, ... explores with uniform actions for tau_1 intervals, estimates from
the triples of all explorations and of nothing else, and follows the optimistic plan for
``tau_2 sqrt(l)`` intervals. Exploring again and again costs regret of order T^(2/3).

It shares estimator, planner and optimism with the mixed learner. It pools one trajectory, since all
its data come from one policy.
"""

from __future__ import annotations

import math

from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.speculation.control.spectral_learner import SpectralLearner, explore
from simulator.streams import Streams


class Seeu:
    """Explores and exploits by turns, and learns from exploration alone.

    Parameters
    ----------
    known
        What is known of the process.
    settings
        tau_1, tau_2, optimism.
    grid
        Over beliefs about the supposed states.
    streams
        All chance of the learner.
    """

    def __init__(
        self, known: Known, settings: LearnerSettings, grid: BeliefGrid, streams: Streams
    ) -> None:
        self._settings, self._known = settings, known
        self._learned = SpectralLearner(known, settings, grid, streams)
        self._phase, self._explored = 0, False

    def next(self, seen: Stretch | None) -> Phase:
        """Return an exploration, then what was learned from all of them, and so on.

        Raises
        ------
        NotLearnableError
            If nothing can be learned from the first exploration.
        """
        self._explored = not self._explored
        if seen is None or self._explored:
            return explore(self._known, self._settings.explore_intervals)
        self._phase += 1
        self._learned.add(seen)
        intervals = round(self._settings.exploit_intervals * math.sqrt(self._phase))
        return self._learned.exploit(self._phase, policies=1, intervals=intervals)
