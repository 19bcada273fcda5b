"""Replicas come and go with the load, by the rule of Kubernetes' horizontal pod autoscaler.

At every look, ``wanted = ceil(serving * value / target)`` within the bounds, and no change while
``value / target`` lies within 10 % of 1. What is given up is the highest that was wanted in the
last ``stabilisation_s`` (Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details
and stabilization window; 10 % and 300 s are its defaults), those of the first look included.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import simpy

from simulator.serving.changes import Change
from simulator.serving.cluster_config import AutoscalingConfig
from simulator.serving.pools import Desk, Fleet, Slot, State
from simulator.serving.request import Request

TOLERANCE = 0.1
"""Deviation of the signal from its target that changes nothing."""

SLO_QUANTILE = 0.9
"""Quantile of the times to first token that ``slo`` compares with its target."""


class Autoscaler:
    """Scales one pool.

    Parameters
    ----------
    env, fleet, settings
        The environment, the replicas, and the rule.
    desk
        Who holds requests while there is no replica.
    slots
        Those of the pool, by number.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: Fleet,
        settings: AutoscalingConfig,
        desk: Desk,
        slots: Sequence[Slot],
    ) -> None:
        self._env = env
        self._fleet = fleet
        self._settings = settings
        self._desk = desk
        self._slots = slots
        self._ttft_s: list[float] = []
        self._recent: deque[tuple[float, int]] = deque()
        self._looks = 0
        self._signals: Mapping[str, Callable[[list[Slot]], float | None]] = {
            "queue": self._queue,
            "utilisation": self._utilisation,
            "slo": self._slo,
        }
        self._wait()

    def observe(self, request: Request) -> None:
        """Learn of a request that leaves."""
        if self._settings.signal == "slo" and not math.isnan(request.first_token_s):
            self._ttft_s.append(request.first_token_s - request.arrival_s)

    def _wait(self) -> None:
        """Plan the next look, at a multiple of the interval."""
        self._looks += 1
        at_s = self._looks * self._settings.interval_s
        Change(self._env, at_s - self._env.now, self._look)

    def _look(self) -> None:
        settings, serving = self._settings, self._in(State.SERVING)
        provided = len(serving) + len(self._in(State.STARTING))
        wanted = self._wanted(serving, provided)
        wanted = min(max(wanted, settings.min_replicas), settings.max_replicas)
        if not self._recent and settings.stabilisation_s:
            # What it finds counts as wanted (Kubernetes: ``recordInitialRecommendation``).
            self._recent.append((self._env.now, provided))
        self._recent.append((self._env.now, wanted))
        while self._recent[0][0] < self._env.now - settings.stabilisation_s:
            self._recent.popleft()
        if wanted > provided:
            self._grow(wanted - provided)
        else:
            highest = max(count for _, count in self._recent)
            self._shrink(provided - min(highest, provided))
        self._wait()

    def _wanted(self, serving: list[Slot], provided: int) -> int:
        """Return the replicas that would bring the signal to its target."""
        value = self._signals[self._settings.signal](serving)
        if value is None:
            return provided
        ratio = value / self._settings.target
        if abs(ratio - 1.0) <= TOLERANCE:
            return provided
        return math.ceil(max(1, len(serving)) * ratio)

    def _queue(self, serving: list[Slot]) -> float:
        """Return the requests at a replica, those held for want of one included."""
        counts = [slot.replica.outstanding for slot in serving]
        return (sum(counts) + len(self._desk.held)) / max(1, len(serving))

    def _utilisation(self, serving: list[Slot]) -> float | None:
        """Return the mean share of the KV cache that is taken."""
        shares = [slot.replica.kv_usage for slot in serving]
        return float(np.mean(shares)) if shares else None

    def _slo(self, serving: list[Slot]) -> float | None:
        """Return the high quantile of TTFT of the requests that left since the last look."""
        seen, self._ttft_s = self._ttft_s, []
        return float(np.quantile(seen, SLO_QUANTILE)) if seen else None

    def _grow(self, count: int) -> None:
        for slot in self._in(State.STOPPED)[:count]:
            self._fleet.start(slot, self._settings.startup_s)

    def _shrink(self, count: int) -> None:
        """Give up replicas that still start, then those with the fewest requests."""
        starting = self._in(State.STARTING)[::-1][:count]
        for slot in starting:
            self._fleet.stop(slot)
        serving = sorted(self._in(State.SERVING), key=_reluctance)
        for slot in serving[: count - len(starting)]:
            self._fleet.drain(slot)

    def _in(self, state: State) -> list[Slot]:
        return [slot for slot in self._slots if slot.state is state]


def _reluctance(slot: Slot) -> tuple[int, int]:
    """Rank who is given up first: fewest requests, then the highest number."""
    return slot.replica.outstanding, -slot.index
