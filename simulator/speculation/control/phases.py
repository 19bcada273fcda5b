"""What a learner asks for, one stretch of intervals after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simulator.errors import ConfigError
from simulator.speculation.control.controllers import Controller
from simulator.speculation.control.planning import Plan
from simulator.speculation.control.pomdp import Array
from simulator.speculation.control.results import Bytes, Conditioning


class Stretch(NamedTuple):
    """What the intervals of a phase showed.

    Parameters
    ----------
    observations, actions
        By interval.
    """

    observations: Bytes
    actions: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """A stretch of intervals under one policy, until a limit is reached.

    Parameters
    ----------
    purpose
        ``explore`` or ``exploit``.
    policy
        A plan, run on the predictive belief of its model, or a controller that is blind to the
        current observation and chooses without chance.
    exploration
        Chance that an interval takes an action drawn uniformly instead, in [0, 1].
    intervals
        Most intervals; None: no such limit.
    visits
        Ends once any action was taken so often within it, shape [A]; None: no such limit.
    conditioning, note
        Of the estimate behind it, as in `results.Episode`.

    Raises
    ------
    ConfigError
        If a limit leaves no interval, the exploration is no chance, or the controller looks at the
        current observation or draws its actions.
    """

    purpose: str
    policy: Plan | Controller
    exploration: float = 0.0
    intervals: int | None = None
    visits: Array | None = None
    conditioning: Conditioning | None = None
    note: str = ""

    def __post_init__(self) -> None:
        limits = [1.0 if self.intervals is None else self.intervals]
        limits += [] if self.visits is None else self.visits.tolist()
        if not (min(limits) >= 1 and 0 <= self.exploration <= 1):
            raise ConfigError(
                "a phase needs limits of 1 interval or more and an exploration from 0 to 1, got "
                f"intervals={self.intervals}, visits={self.visits}, "
                f"exploration={self.exploration!r}."
            )
        if not isinstance(self.policy, Controller):
            return
        if not self.policy.is_blind:
            raise ConfigError(
                "a controller that looks at the observation of its own interval cannot run here: "
                "telemetry comes one interval late. Act on the last observation."
            )
        if not self.policy.is_deterministic:
            raise ConfigError(
                "a controller here takes one action for sure in every node; state chance as the "
                "exploration of the phase."
            )


class Learner(Protocol):
    """One learner on one seed."""

    def next(self, seen: Stretch | None) -> Phase:
        """Return the phase to come, given what the last one showed; None before the first."""
        ...
