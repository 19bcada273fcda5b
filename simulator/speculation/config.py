"""Settings of speculative decoding."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.errors import ConfigError
from simulator.models.draft_tree import DraftTree
from simulator.speculation.checks import check_acceptance, check_drafting, check_policy

MAX_DRAFT_TOKENS = 64
"""Longest draft that can be simulated. Real engines stop far below (vLLM users rarely pass 10)."""

MIN_STRETCH = 2.0
"""Shortest mean stretch in one regime, tokens, or phase, requests: below, states would alternate
rather than last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeConfig:
    """The settings ``speculation.regime``: text that is easy to draft, and text that is not.

    Parameters
    ----------
    alpha_high, alpha_low
        Acceptance rates in easy and in hard text, at every position.
    high_tokens, low_tokens
        Mean length of a stretch of either, in emitted tokens.
    """

    alpha_high: float
    alpha_low: float
    high_tokens: float
    low_tokens: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha_low <= self.alpha_high <= 1.0:
            raise ConfigError(
                f"speculation.regime.alpha_low={self.alpha_low!r} and alpha_high="
                f"{self.alpha_high!r} must be rates in [0, 1], the low one not above the high one."
            )
        for key in ("high_tokens", "low_tokens"):
            value = getattr(self, key)
            if not MIN_STRETCH <= value <= 1e9:
                raise ConfigError(
                    f"speculation.regime.{key}={value!r} must lie in {MIN_STRETCH:g}..1e9: "
                    f"it is the mean number of tokens after which the text changes."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasesConfig:
    """The settings ``speculation.phases``: times of mostly easy requests, and of mostly hard ones.

    Parameters
    ----------
    alpha_easy, alpha_hard
        Acceptance rates of easy and of hard requests, at every position.
    own_share
        Share of the requests of a phase that are of its kind, in [0.5, 1].
    stretch_requests
        Mean number of requests after which the other phase begins.
    """

    alpha_easy: float
    alpha_hard: float
    own_share: float
    stretch_requests: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha_hard <= self.alpha_easy <= 1.0:
            raise ConfigError(
                f"speculation.phases.alpha_hard={self.alpha_hard!r} and alpha_easy="
                f"{self.alpha_easy!r} must be rates in [0, 1], the hard one not above the easy one."
            )
        if not 0.5 <= self.own_share <= 1.0:
            raise ConfigError(
                f"speculation.phases.own_share={self.own_share!r} must lie in [0.5, 1]: it is the "
                "share of the requests of a phase that are of its kind."
            )
        if not MIN_STRETCH <= self.stretch_requests <= 1e9:
            raise ConfigError(
                f"speculation.phases.stretch_requests={self.stretch_requests!r} must lie in "
                f"{MIN_STRETCH:g}..1e9: it is the mean number of requests of a phase."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationConfig:
    """The config group ``speculation``.

    Parameters
    ----------
    gamma
        Draft length (vLLM's ``num_speculative_tokens``), the longest if a policy chooses; 0 turns
        speculation off. The depth of a draft tree.
    drafter
        Name in ``conf/drafter``; null takes the one that goes with the model.
    drafter_gpus
        Whether the drafter runs on the GPUs of the target (``shared``), or a separate draft model
        on GPUs of its own (``own``), as many to each attention group as it is split over.
    link_s
        Time of a message between these GPUs and the target's, s; a round waits for two. Only with
        ``drafter_gpus: own``.
    acceptance
        Kind of the acceptance model: ``iid``, ``by_position``, ``heterogeneous``, ``regime``,
        ``phases``, ``recorded`` or ``profile``.
    alpha
        Acceptance rate of ``iid``, and of the median request of ``heterogeneous``; other kinds do
        not look at it.
    alphas
        Conditional acceptance rates by position of ``by_position``, and of no other kind; the last
        one repeats.
    alpha_spread
        Standard deviation between requests of ``heterogeneous``, on the logit of the rate.
    regime
        The two states of ``regime``.
    phases
        The two phases of ``phases``.
    path
        File of ``recorded``: accepted tokens by request and round, CSV or Parquet.
    profile
        Name in ``workloads/acceptance`` of ``profile``, or path of a profile of the same form.
    task
        What the requests of ``profile`` are about, such as ``coding``; null: what the workload's
        preset is about, and what was measured where there is none.
    temperature
        Sampling temperature of ``profile``; null: that of the measurement.
    tree
        Candidates after each node of a draft by depth, at least ``gamma`` of them; empty drafts a
        chain. All nodes are verified.
    tree_ranks
        Chance that the second candidate is right where the first is wrong, that the third is where
        both are, and so on; the last one repeats. A tree with more than one candidate needs it.
    proposal_rate
        Share of the rounds of a request in which an n-gram look-up finds a draft.
    policy
        Who chooses the draft length of a step: ``fixed``, ``batch_schedule``, ``threshold``,
        ``cost_model`` or ``belief_table``.
    schedule
        Rows ``[first batch, last batch, draft length]`` of ``batch_schedule``, and of no other
        policy (vLLM's ``num_speculative_tokens_per_batch_size``).
    threshold
        Share of the drafted tokens that ``threshold`` wants accepted, and no other policy.
    table
        File of ``belief_table``, and of no other policy: draft lengths by belief, as ``moesim study
        control`` exports them.
    memory_rounds
        Rounds of a request over which ``threshold`` and ``cost_model`` measure acceptance.
    """

    gamma: int = 3
    drafter: str | None = None
    drafter_gpus: str = "shared"
    link_s: float | None = None
    acceptance: str = "iid"
    alpha: float | None = None
    alphas: list[float] = field(default_factory=list)
    alpha_spread: float | None = None
    regime: RegimeConfig | None = None
    phases: PhasesConfig | None = None
    path: str | None = None
    profile: str | None = None
    task: str | None = None
    temperature: float | None = None
    tree: list[int] = field(default_factory=list)
    tree_ranks: list[float] = field(default_factory=list)
    proposal_rate: float = 1.0
    policy: str = "fixed"
    schedule: list[list[int]] = field(default_factory=list)
    threshold: float | None = None
    table: str | None = None
    memory_rounds: float = 10_000.0

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= MAX_DRAFT_TOKENS:
            raise ConfigError(
                f"speculation.gamma={self.gamma!r} must lie in 0..{MAX_DRAFT_TOKENS}; "
                f"0 turns speculation off, 2 to 5 is usual."
            )
        check_acceptance(self)
        check_drafting(self)
        check_policy(self)

    @property
    def draft_tokens(self) -> int:
        """Drafted tokens of a round at most: gamma, or all nodes of a tree as deep."""
        return DraftTree(tuple(self.tree)).nodes(self.gamma)
