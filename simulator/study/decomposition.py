"""Where a speedup comes from: the terms of MoESD's formula at an operating point."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.costs.forward import KINDS, total_s
from simulator.costs.step import StepModel, StepShape
from simulator.speculation.acceptance import Acceptance
from simulator.speculation.recorded import RecordedAcceptance
from simulator.speculation.theory import speedup

LONGEST_PROPOSED_DRAFT = 8
"""Draft lengths that are worth proposing: 1 up to this."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The closed-form speedup of a full batch and its terms (MoESD eq. 4).

    All times are relative to one plain decode step ``T_T(B, 1)``, engine overhead included; a
    verify step has gamma + 1 query tokens per request, or one more than a draft tree has nodes.

    Parameters
    ----------
    batch, context_tokens, gamma
        The operating point: requests, mean cache length, draft length.
    plain_step_s
        ``T_T(B, 1)``, seconds.
    expected_tokens_per_round, sigma
        Tokens a round yields on average, and as a share of gamma + 1.
    draft_ratio, verify_ratio, rejection_ratio
        ``gamma T_D``, ``T_T(B, gamma)`` and ``T_rej`` over ``T_T(B, 1)``.
    target_efficiency
        ``T_T(B, 1) / T_T(B, gamma)``.
    speedup
        Tokens per round over the sum of the three ratios.
    measured_share, fitted_share, assumed_share
        Shares of the round's time by how they are known: measured kernel tables, fits to
        measurements, judgement.
    """

    batch: float
    context_tokens: float
    gamma: int
    plain_step_s: float
    expected_tokens_per_round: float
    sigma: float
    draft_ratio: float
    verify_ratio: float
    rejection_ratio: float
    target_efficiency: float
    speedup: float
    measured_share: float
    fitted_share: float
    assumed_share: float

    @property
    def plain_steps(self) -> float:
        """Time of a round in plain steps."""
        return self.draft_ratio + self.verify_ratio + self.rejection_ratio


def decompose(
    model: StepModel, acceptance: Acceptance, batch: float, context_tokens: float, gamma: int
) -> Decomposition:
    """Evaluate the closed form at an operating point, with the cost model of the simulation.

    Parameters
    ----------
    model, acceptance
        Costs and acceptance of the scenario.
    batch, context_tokens, gamma
        The operating point; batch > 0.
    """
    plain = model.target_step(StepShape(batch, 1, context_tokens)).total_s
    verified = model.verify_shape(batch, gamma, context_tokens)
    verify = model.target_step(verified).total_s
    draft_s = total_s(model.drafts(batch, context_tokens, gamma))
    rejection_s = total_s(model.rejection(batch, gamma))
    tokens = acceptance.tokens_per_round(gamma)
    whole = model.step(verified, gamma)
    return Decomposition(
        batch=batch,
        context_tokens=context_tokens,
        gamma=gamma,
        plain_step_s=plain,
        expected_tokens_per_round=tokens,
        sigma=tokens / (gamma + 1),
        draft_ratio=draft_s / plain,
        verify_ratio=verify / plain,
        rejection_ratio=rejection_s / plain,
        target_efficiency=plain / verify,
        speedup=float(speedup(tokens, draft_s / plain, verify / plain, rejection_s / plain)),
        **{f"{kind}_share": whole.share_s(kind) / whole.total_s for kind in KINDS},
    )


def longest_proposed(model: StepModel, acceptance: Acceptance) -> int:
    """Return the longest draft that is worth proposing and can be run.

    A draft tree is cut, never made deeper, and what a longer draft than the recorded ones would
    have had accepted is not known.
    """
    limits = [LONGEST_PROPOSED_DRAFT, len(model.drafting.tree.widths) or LONGEST_PROPOSED_DRAFT]
    if isinstance(acceptance, RecordedAcceptance):
        limits.append(acceptance.longest)
    return max(1, min(limits))


def best_draft_length(
    model: StepModel, acceptance: Acceptance, batch: float, context_tokens: float
) -> Decomposition:
    """Return the decomposition at the draft length with the highest closed-form speedup.

    The batch is held fixed; in an open loop a faster deployment also runs a smaller batch, so this
    proposes what to simulate next, not what will come out.
    """
    candidates = (
        decompose(model, acceptance, batch, context_tokens, gamma)
        for gamma in range(1, longest_proposed(model, acceptance) + 1)
    )
    return max(candidates, key=lambda point: point.speedup)
