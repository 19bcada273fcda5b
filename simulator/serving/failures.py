"""Replicas are lost and return."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import simpy

from simulator.serving.changes import Change
from simulator.serving.cluster_config import FailuresConfig
from simulator.serving.pools import Fleet, Slot, State
from simulator.streams import Streams


class Failures:
    """Loses replicas at known times, and at random.

    At random, a replica runs for an exponential time of mean ``mtbf_s`` from when it is ready, and
    returns after one of mean ``mttr_s``. The times come from the stream ``failures``, one block a
    slot, so that all arms of a run meet the same. A loss of what is not there does nothing.

    Parameters
    ----------
    env, fleet, settings, streams
        The environment, the replicas, what to do, and the randomness.
    lose
        Loses a slot: called with it and its time to repair, s; None for never.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: Fleet,
        settings: FailuresConfig,
        streams: Streams,
        lose: Callable[[Slot, float | None], None],
    ) -> None:
        self._env = env
        self._settings = settings
        self._generators: dict[Slot, np.random.Generator] = {
            slot: streams.block("failures", slot.index) for slot in fleet.slots
        }
        self._lose = lose
        for loss in settings.losses:
            slot = fleet.slots[loss.replica]
            Change(env, loss.at_s, partial(self._strike, slot, loss.repair_s))

    def arm(self, slot: Slot) -> None:
        """Draw when a replica that is ready now will be lost."""
        settings = self._settings
        if settings.mtbf_s is None or settings.mttr_s is None:
            return
        run_s, repair_s = self._generators[slot].exponential((settings.mtbf_s, settings.mttr_s))
        Change(self._env, run_s, partial(self._strike_if, slot, slot.age, repair_s))

    def _strike(self, slot: Slot, repair_s: float | None) -> None:
        if slot.state in (State.STARTING, State.SERVING, State.DRAINING):
            self._lose(slot, repair_s)

    def _strike_if(self, slot: Slot, age: int, repair_s: float) -> None:
        """Lose a replica that has served since, and perhaps drains by now."""
        if slot.age == age or (slot.age == age + 1 and slot.state is State.DRAINING):
            self._lose(slot, repair_s)
