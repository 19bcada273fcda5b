"""The draft-length policy that runs an exported belief table."""

from __future__ import annotations

import math

import numpy as np

from simulator.errors import ConfigError
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.control.served import ServedTable, read_served
from simulator.speculation.telemetry import Telemetry

_LONGEST_SLEEP = 256
"""Intervals without telemetry after which the belief no longer changes to speak of."""


class BeliefPolicy:
    """Hold a draft length for an interval; then choose by what the telemetry made believed.

    Every replica has a belief of its own. It is *predictive*: it knows what was seen up to the
    interval that has just ended, and what that interval showed is the acceptance at the first
    position of its drafts and the backlog at its begin. The first step after the end of an interval
    begins the next. While a replica decodes nothing, nobody decides, and the belief goes on without
    telemetry.

    Parameters
    ----------
    served
        The table, and the model that updates the belief.
    """

    def __init__(self, served: ServedTable) -> None:
        self._served = served
        self._steps = served.model.belief_steps
        self.belief = served.model.first_belief
        """About the interval that runs, by state."""
        self._action = 0
        self._begun_s = -math.inf
        self._backlog = 0
        self._rounds = self._passed = 0

    def decide(self, telemetry: Telemetry) -> int:
        """Count what was accepted, and decide anew where an interval has ended."""
        if telemetry.gamma and telemetry.accepted.size:
            self._rounds += telemetry.accepted.size
            self._passed += int(np.count_nonzero(telemetry.accepted))
        elapsed_s = telemetry.now_s - self._begun_s
        if elapsed_s >= self._served.interval_s:
            if elapsed_s < math.inf:
                self._learn(elapsed_s)
            self._action = int(self._served.table.act(self.belief))
            self._begun_s = telemetry.now_s
            self._backlog = telemetry.requests + telemetry.waiting
            self._rounds = self._passed = 0
        return self._served.gammas[self._action]

    def _learn(self, elapsed_s: float) -> None:
        """Take in the interval that has ended, and those that passed without telemetry."""
        acceptance = self._passed / self._rounds if self._rounds else None
        seen = self._served.observations(acceptance, self._backlog)
        moved = self.belief @ self._steps[self._action, seen].sum(axis=0)
        if moved.sum() <= 0.0:  # the model holds what was seen for impossible
            moved = self.belief @ self._served.model.transitions[self._action]
        missed = int(min(elapsed_s // self._served.interval_s - 1.0, _LONGEST_SLEEP))
        for _ in range(missed):
            moved = moved @ self._served.model.transitions[self._action]
        self.belief = moved / moved.sum()


def read_table(config: SpeculationConfig) -> ServedTable:
    """Read the table of a configuration.

    Raises
    ------
    SimulatorError
        If it is no belief table, or drafts more than ``speculation.gamma``.
    """
    served = read_served(config.table or "")
    if max(served.gammas) > config.gamma:
        raise ConfigError(
            f"speculation.table={config.table} drafts up to {max(served.gammas)} tokens where "
            f"speculation.gamma={config.gamma} is the longest draft; set "
            f"speculation.gamma={max(served.gammas)}."
        )
    return served
