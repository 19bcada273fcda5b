"""A draft-length policy as a package of its own: additive increase, multiplicative decrease.

After ``pip install ./examples/plugin`` it is one more kind:
``moesim simulate speculation.policy=aimd speculation.gamma=6``.
"""

from __future__ import annotations

from simulator.speculation.config import SpeculationConfig
from simulator.speculation.policies import StepPrice, Telemetry

RAISE, HALVE = 0.7, 0.4
"""Shares of the drafted tokens accepted from which on drafts grow, and below which they shrink."""


class Aimd:
    """Drafts one token more while most are accepted, half as many when few are.

    Parameters
    ----------
    gamma
        Longest draft, tokens.

    Examples
    --------
    >>> import numpy as np
    >>> policy = Aimd(gamma=4)
    >>> seen = [Telemetry(2, 100, 4, np.array(accepted)) for accepted in ([0, 1], [4, 3])]
    >>> [policy.decide(telemetry) for telemetry in seen]
    [2, 3]
    """

    def __init__(self, gamma: int) -> None:
        self._longest = self._gamma = gamma

    def decide(self, telemetry: Telemetry) -> int:
        """Return the draft length of the coming step, from 1 up."""
        if telemetry.gamma and telemetry.accepted.size:
            share = float(telemetry.accepted.mean()) / telemetry.gamma
            if share >= RAISE:
                self._gamma = min(self._gamma + 1, self._longest)
            elif share < HALVE:
                self._gamma = max(self._gamma // 2, 1)
        return self._gamma


def aimd(config: SpeculationConfig, price: StepPrice) -> Aimd:
    """Draft one token more while drafts are accepted, half of them when not."""
    del price
    return Aimd(config.gamma)
