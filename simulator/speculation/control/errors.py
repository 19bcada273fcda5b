"""Why a process or its data cannot be learned from."""

from __future__ import annotations

from simulator.errors import SimulatorError


class NotLearnableError(SimulatorError):
    """A process, or the moments of its data, break an assumption of the estimator."""
