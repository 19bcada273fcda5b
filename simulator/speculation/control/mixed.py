"""Mixed Spectral UCRL (algorithm 2 of the paper): estimates from all data, optimistic plans.

Actions are uniform for T_0 intervals. Then every episode estimates the model from all triples so
far, whatever policies they come from, and follows the optimistic plan on its predictive belief
until some action has been taken in it as often as in all intervals before. Counts double, so that
T intervals have at most ``A log2(T) + A`` episodes.

With ``delta_l = delta / (3 S A l^3)`` in episode l the confidence sets hold together with chance
``1 - 2 delta``, and the regret grows as the root of T (theorem 6.2).
"""

from __future__ import annotations

from simulator.speculation.control.bounds import error_bounds
from simulator.speculation.control.controllers import constant
from simulator.speculation.control.errors import UnusableMoments
from simulator.speculation.control.estimate import Estimate, estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.optimism import optimistic_plan
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.streams import Streams


class MixedSpectralUcrl:
    """Learns from every interval, whatever policy was in force.

    Parameters
    ----------
    known
        What is known of the process.
    settings
        T_0, optimism and the grid.
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
        self._episode, self._note = 0, ""
        self._found: Estimate | None = None

    def next(self, seen: Stretch | None) -> Phase:
        """Return the phase to come: exploring at first, then one plan after another.

        Raises
        ------
        UnusableMoments
            If nothing can be learned from the first exploration.
        """
        known, settings = self._known, self._settings
        if seen is None:
            return explore(known, settings.first_exploration)
        self._moments.add(seen.observations, seen.actions)
        self._episode += 1
        generator = self._streams.block("control.learner", self._episode)
        note = ""
        try:
            self._found = estimate(self._moments, known.states, generator)
        except UnusableMoments as problem:
            if self._found is None:
                raise
            note = str(problem)
        delta = settings.delta / (3 * known.states * known.actions * self._episode**3)
        radii = error_bounds(self._found, self._episode, delta, settings.optimism)
        plan = optimistic_plan(
            self._found, known.rewards, self._grid, radii, settings.models, generator
        )
        return Phase(
            "exploit",
            plan,
            visits=self._moments.visits,
            conditioning=self._found.conditioning,
            note=note,
        )


def explore(known: Known, intervals: int) -> Phase:
    """Return a phase of uniformly drawn actions."""
    return Phase("explore", constant(0, known.actions, known.symbols), 1.0, intervals)
