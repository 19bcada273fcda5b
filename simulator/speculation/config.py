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
        Draft length (vLLM's ``num_speculative_tokens``), the longest if a policy chooses; 0 turns
        speculation off.
    drafter
        Name in ``conf/drafter``; null takes the one that goes with the model.
    acceptance
        Kind of the acceptance model: ``iid`` or ``by_position``.
    alpha
        Acceptance rate of ``iid``; other kinds do not look at it.
    alphas
        Conditional acceptance rates by position of ``by_position``, and of no other kind; the last
        one repeats.
    policy
        Who chooses the draft length of a step: ``fixed``, ``batch_schedule``, ``threshold`` or
        ``cost_model``.
    schedule
        Rows ``[first batch, last batch, draft length]`` of ``batch_schedule``, and of no other
        policy (vLLM's ``num_speculative_tokens_per_batch_size``).
    threshold
        Share of the drafted tokens that ``threshold`` wants accepted, and no other policy.
    memory_rounds
        Rounds of a request over which ``threshold`` and ``cost_model`` measure acceptance.
    """

    gamma: int = 3
    drafter: str | None = None
    acceptance: str = "iid"
    alpha: float | None = None
    alphas: list[float] = field(default_factory=list)
    policy: str = "fixed"
    schedule: list[list[int]] = field(default_factory=list)
    threshold: float | None = None
    memory_rounds: float = 10_000.0

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
        self._check_policy()

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

    def _check_policy(self) -> None:
        """Refuse settings of a policy that are missing, wrong, or would have no effect."""
        if not self.memory_rounds >= 1.0:
            raise ConfigError(
                f"speculation.memory_rounds={self.memory_rounds!r} must be at least 1; for example "
                f"speculation.memory_rounds=10000."
            )
        if self.policy != "fixed" and not self.gamma:
            raise ConfigError(
                f"speculation.policy={self.policy} has nothing to choose at speculation.gamma=0; "
                f"set speculation.gamma to the longest draft."
            )
        if (self.policy == "threshold") != (self.threshold is not None):
            raise ConfigError(
                f"speculation.threshold={self.threshold!r} with speculation.policy={self.policy}: "
                f"the policy threshold needs one, for example speculation.threshold=0.5; no other "
                f"policy has any."
            )
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(
                f"speculation.threshold={self.threshold!r} must lie in [0, 1]: it is the share of "
                f"drafted tokens that has to be accepted."
            )
        if (self.policy == "batch_schedule") != bool(self.schedule):
            raise ConfigError(
                f"speculation.schedule={self.schedule!r} with speculation.policy={self.policy}: "
                f"the policy batch_schedule needs one, for example "
                f"speculation.schedule=[[1,16,{self.gamma}],[17,256,0]]; no other policy has any."
            )
        self._check_schedule()

    def _check_schedule(self) -> None:
        begin = 1
        for index, row in enumerate(self.schedule):
            place = f"speculation.schedule[{index}]={row!r}"
            if len(row) != 3:
                raise ConfigError(f"{place} must be [first batch, last batch, draft length].")
            first, last, gamma = row
            if first != begin or last < first:
                raise ConfigError(
                    f"{place} must begin at batch {begin}, where the row before ends, and end at "
                    f"that batch or later."
                )
            if not 0 <= gamma <= self.gamma:
                raise ConfigError(
                    f"{place}: the draft length must lie in 0..{self.gamma} (speculation.gamma)."
                )
            begin = last + 1
