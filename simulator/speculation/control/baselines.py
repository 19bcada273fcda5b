"""Learners that learn nothing: what a learner is held against."""

from __future__ import annotations

from simulator.speculation.control.controllers import Controller
from simulator.speculation.control.phases import Phase, Stretch
from simulator.speculation.control.planning import Plan


class Follow:
    """Follows one policy for good: a fixed action, a table of a server's, or the oracle's plan.

    Parameters
    ----------
    policy
        A plan for the true model (the oracle), or a controller.
    """

    def __init__(self, policy: Plan | Controller) -> None:
        self._policy = policy

    def next(self, seen: Stretch | None) -> Phase:
        """Return the only phase."""
        return Phase("exploit", self._policy)
