"""Settings of speculative decoding."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.errors import ConfigError

MAX_DRAFT_TOKENS = 64
"""Longest draft that can be simulated. Real engines stop far below (vLLM users rarely pass 10)."""


def _check_rate(key: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(
            f"{key}={value!r} must lie in [0, 1]: it is the chance that a draft token is accepted."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationConfig:
    """The config group ``speculation``.

    Parameters
    ----------
    gamma
        Draft length (vLLM's ``num_speculative_tokens``); 0 turns speculation off.
    drafter
        Name in ``conf/drafter``; null takes the one that goes with the model.
    acceptance
        Kind of the acceptance model: ``iid`` or ``by_position``.
    alpha
        Acceptance rate of ``iid``; other kinds do not look at it.
    alphas
        Conditional acceptance rates by position of ``by_position``, and of no other kind; the last
        one repeats.
    """

    gamma: int = 3
    drafter: str | None = None
    acceptance: str = "iid"
    alpha: float | None = None
    alphas: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= MAX_DRAFT_TOKENS:
            raise ConfigError(
                f"speculation.gamma={self.gamma!r} must lie in 0..{MAX_DRAFT_TOKENS}; "
                f"0 turns speculation off, 2 to 5 is usual."
            )
        if self.alpha is not None:
            _check_rate("speculation.alpha", self.alpha)
        for index, value in enumerate(self.alphas):
            _check_rate(f"speculation.alphas[{index}]", value)
        self._check_kind()

    def _check_kind(self) -> None:
        """Refuse rates that are missing, and rates that would have no effect."""
        if self.acceptance == "iid" and self.alpha is None:
            raise ConfigError(
                "speculation.alpha=null but speculation.acceptance=iid needs it; "
                "for example speculation.alpha=0.7."
            )
        if self.acceptance == "iid" and self.alphas:
            raise ConfigError(
                f"speculation.alphas={self.alphas!r} has no effect with "
                f"speculation.acceptance=iid; choose speculation.acceptance=by_position."
            )
        if self.acceptance == "by_position" and not self.alphas:
            raise ConfigError(
                "speculation.alphas=[] but speculation.acceptance=by_position needs at least one "
                "rate; for example speculation.alphas=[0.8,0.7,0.6]."
            )
