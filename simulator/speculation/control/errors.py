"""Why a process or its data cannot be learned from."""

from __future__ import annotations

from simulator.errors import SimulatorError


class UnusableMoments(SimulatorError):
    """Moments, or the process behind them, break an assumption of the estimator."""
