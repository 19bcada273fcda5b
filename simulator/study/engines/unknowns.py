"""What of an engine profile can be calibrated, and which measurement determines it."""

from __future__ import annotations

from dataclasses import dataclass

FRACTION, OVERHEAD, EXPONENT = "fraction", "overhead", "exponent"


@dataclass(frozen=True, slots=True)
class Unknown:
    """One figure of an engine profile.

    Parameters
    ----------
    key
        Its name in the profile.
    kind
        ``"fraction"`` of a speed, host ``"overhead"`` in seconds, or ``"exponent"`` of routing.
    low, high
        Physical bounds. Overheads have none below: one that comes out negative is no overhead, and
        says that something else is wrong.
    measure
        What to measure if the rows at hand do not determine it.
    """

    key: str
    kind: str
    low: float
    high: float
    measure: str

    @property
    def unit(self) -> str:
        """Unit in the profile."""
        return "s" if self.kind == OVERHEAD else "1"

    @property
    def attribute(self) -> str:
        """Its name in `costs.engine.Engine`."""
        return f"{self.key}_s" if self.kind == OVERHEAD else self.key


def _overhead(key: str, measure: str) -> Unknown:
    return Unknown(key, OVERHEAD, -float("inf"), float("inf"), measure)


MOST_FRACTION = 1.5
"""Kernels may beat tables and the efficiencies of rooflines, but not by more than this."""

UNKNOWNS = (
    Unknown(
        "bandwidth_fraction",
        FRACTION,
        0.003,
        MOST_FRACTION,
        "plain steps at several batches from 1 on, as far apart as experts or cache allow",
    ),
    _overhead("operator_launch", "target_ms and draft_ms beside the step, or a second model"),
    _overhead("plain_step", "target_ms of plain steps beside their whole time"),
    Unknown(
        "compute_fraction",
        FRACTION,
        0.003,
        MOST_FRACTION,
        "steps with many tokens: plain steps and rounds at the largest batch that runs",
    ),
    _overhead("plain_request", "target_ms of plain steps at a small and a large batch"),
    _overhead("verify_step", "rounds (gamma > 0) with target_ms and draft_ms"),
    _overhead("verify_request", "rounds at a small and a large batch, with target_ms, draft_ms"),
    _overhead("draft_step", "draft_ms of rounds at a small batch"),
    _overhead("draft_request", "draft_ms of rounds at a small and a large batch"),
    Unknown(
        "routing_within_request",
        EXPONENT,
        0.05,
        1.0,
        "active_experts of rounds (gamma > 0) at batches that do not touch all experts",
    ),
    Unknown(
        "routing_across_requests",
        EXPONENT,
        0.05,
        1.0,
        "active_experts of plain steps at batches from 2 on that do not touch all experts",
    ),
)
"""In the order in which they are tried: what explains most first.

A later one is left out if the rows cannot tell it from those before.
"""

BY_KEY = {unknown.key: unknown for unknown in UNKNOWNS}

EAGER_ONLY = ("operator_launch",)
"""Figures that mean something only where kernels are launched one by one."""
