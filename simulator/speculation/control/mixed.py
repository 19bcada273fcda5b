"""Mixed Spectral UCRL (algorithm 2 of the paper): estimates from all data, optimistic plans.

Actions are uniform for T_0 intervals. Then every episode estimates the model from all triples so
far, whatever policies they come from, and follows the optimistic plan on its predictive belief
until some action has been taken in it as often as in all intervals before. Counts double, so that
T intervals have at most ``A log2(T) + A`` episodes.

More data are not always better data. As a policy comes to take each action in few states,
``sigma_S(K_31)`` of the pooled moments falls, up to ninefold on the serving instance, and errors of
T stay near .07 however long it runs; `Conditioning` shows it. Keeping an action's older moments
where these stand out more from noise was tried on the processes of `settings`, and gained nothing.

With ``delta_l = delta / (3 S A l^3)`` in episode l the confidence sets hold together with chance
``1 - 2 delta``, and the regret grows as the root of T (theorem 6.2).
"""

from __future__ import annotations

from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.speculation.control.spectral_learner import SpectralLearner, explore
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
        self._known, self._settings = known, settings
        self._learned = SpectralLearner(known, settings, grid, streams)
        self._episode = 0

    def next(self, seen: Stretch | None) -> Phase:
        """Return the phase to come: exploring at first, then one plan after another.

        Raises
        ------
        NotLearnableError
            If nothing can be learned from the first exploration.
        """
        if seen is None:
            return explore(self._known, self._settings.first_exploration)
        self._learned.add(seen)
        self._episode += 1
        return self._learned.exploit(
            self._episode, policies=self._episode, visits=self._learned.visits
        )
