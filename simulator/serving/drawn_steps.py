"""A step whose loads are drawn and that takes what step costs say: one event."""

from __future__ import annotations

import simpy

from simulator.costs.sampled import DrawnStep
from simulator.serving.expert_loads import LoadRows
from simulator.serving.tick import Tick


class DrawnSteps:
    """Waits out steps whose loads are drawn, and writes these when a step has ended.

    Parameters
    ----------
    env
        The SimPy environment.
    rows
        Writes the loads.
    """

    def __init__(self, env: simpy.Environment, rows: LoadRows) -> None:
        self._env, self._rows = env, rows
        self._tick = Tick(env)
        self._drawn: DrawnStep | None = None
        self._duration_s = 0.0

    def take(self, drawn: DrawnStep) -> None:
        """Take what was drawn for the step to come."""
        self._drawn = drawn

    def follow(self, duration_s: float) -> simpy.Event:
        """Start a step that step costs say takes so long; return what happens at its end."""
        self._duration_s = duration_s
        tick = self._tick.after(duration_s)
        tick.callbacks.append(self._end)
        return tick

    def abandon(self) -> None:
        """Forget the step under way, if there is one: its replica is lost."""
        self._tick.callbacks = []
        self._tick = Tick(self._env)

    def _end(self, _: simpy.Event) -> None:
        if self._drawn is not None:
            self._rows.ended(self._drawn, self._duration_s)
