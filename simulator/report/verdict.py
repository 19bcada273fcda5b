"""What a step's times mean, in words: what holds speculation back, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.report.advice import MATERIAL, losses
from simulator.report.figures import factor, number, percent, seconds
from simulator.report.parts import in_order, part_name
from simulator.study.explain import Explanation, Step

_NOTHING = "changes next to nothing"
_WORTH_NAMING = 1.1
"""Least loss factor of a second term that is put in words."""

_MOST = 0.5
"""Share of the experts' growth from which on waking more of them is named as its cause."""


def verdict(explanation: Explanation) -> Iterator[str]:
    """Yield sentences: what speculation gives here, what holds it back, what would change it."""
    terms, best = explanation.decomposition, explanation.best
    if not terms.gamma:
        yield "Speculation is off (gamma = 0): every step is a plain step."
    else:
        pays = "pays" if terms.speedup > 1 else "does not pay"
        yield (
            f"Speculative decoding {pays if abs(terms.speedup - 1) > MATERIAL else _NOTHING} here: "
            f"a round yields {terms.expected_tokens_per_round:.2f} tokens in "
            f"{terms.plain_steps:.2f} plain steps, {factor(terms.speedup)}."
        )
        yield from _reasons(explanation)
    if best.speedup <= 1 + MATERIAL:
        yield f"By the closed form no draft length pays here: {factor(best.speedup)} at best."
    elif best.speedup > (1 + MATERIAL) * terms.speedup:
        yield (
            f"Try speculation.gamma={best.gamma}: the closed form promises "
            f"{factor(best.speedup)} here."
        )


def _reasons(explanation: Explanation) -> Iterator[str]:
    """Say what holds the speedup back most, what comes next, and what would change either."""
    reasons = {
        "acceptance": _about_acceptance,
        "verification": _about_verification,
        "drafting": _about_drafting,
        "rejection": _about_rejection,
    }
    terms = explanation.decomposition
    found = losses(terms.sigma, terms.draft_ratio, terms.verify_ratio, terms.rejection_ratio)
    most, second, *_ = sorted(found, key=found.__getitem__, reverse=True)
    yield f"What holds it back most is {most}. {reasons[most](explanation)}"
    if found[second] >= _WORTH_NAMING:
        yield f"Next comes {second}. {reasons[second](explanation)}"


def _or_shorter(explanation: Explanation) -> str:
    """Propose a shorter draft where the closed form agrees."""
    shorter = explanation.best.gamma < explanation.decomposition.gamma
    return ", or a shorter draft," if shorter else ""


def _about_acceptance(explanation: Explanation) -> str:
    terms = explanation.decomposition
    return (
        f"Of the {terms.gamma + 1} tokens that a round could yield "
        f"{terms.expected_tokens_per_round:.2f} come out: a drafter that agrees more "
        f"often{_or_shorter(explanation)} would change that."
    )


def _about_verification(explanation: Explanation) -> str:
    plain, verify = explanation.plain, explanation.verify or explanation.plain
    parts = in_order([*plain.parts, *verify.parts])
    growth = {part: verify.seconds(part) - plain.seconds(part) for part in parts}
    part = max(growth, key=growth.__getitem__)
    lead = (
        f"A verify step takes {seconds(verify.total_s - plain.total_s)} more than a plain one, "
        f"{seconds(growth[part])} of it in {part_name(part)}."
    )
    if part == "experts":
        return f"{lead} {_about_experts(explanation, plain, verify)}"
    if part == "expert_transfers":
        return (
            f"{lead} Of the experts that it needs {number(verify.missing_experts)} a layer are in "
            f"host memory, of those of a plain step {number(plain.missing_experts)}: more "
            f"resident ones (experts.offload.resident_experts){_or_shorter(explanation)} would "
            "change that."
        )
    if part in verify.work and verify.work[part].bound == "compute":
        lead += " That part is compute-bound, so every drafted token costs its share."
    return f"{lead} A smaller batch{_or_shorter(explanation)} would change that."


def _about_experts(explanation: Explanation, plain: Step, verify: Step) -> str:
    """Tell experts that verification wakes from experts that it gives more to do."""
    woken = verify.active_experts / plain.active_experts - 1
    if woken >= _MOST * (verify.seconds("experts") / plain.seconds("experts") - 1):
        return (
            f"Verifying wakes {number(verify.active_experts)} of {verify.experts} experts where "
            f"a plain step wakes {number(plain.active_experts)}, and reading their weights takes "
            f"time: a batch large enough to wake them anyway{_or_shorter(explanation)} would "
            "change that."
        )
    return (
        f"A plain step wakes {number(plain.active_experts)} of {verify.experts} experts already; "
        f"what grows is the tokens of each, from {number(plain.tokens_per_expert)} to "
        f"{number(verify.tokens_per_expert)}: a smaller batch{_or_shorter(explanation)} would "
        "change that."
    )


def _about_drafting(explanation: Explanation) -> str:
    draft, largest = explanation.draft, ""
    if draft is not None:
        part = max(draft.parts, key=draft.share)
        largest = f", the largest part of them {part_name(part)} ({percent(draft.share(part))})"
    return (
        f"The drafts of a round take {explanation.decomposition.draft_ratio:.2f} plain "
        f"steps{largest}: a cheaper drafter{_or_shorter(explanation)} would change that."
    )


def _about_rejection(explanation: Explanation) -> str:
    return (
        f"Comparing drafts and the host work of a round take "
        f"{explanation.decomposition.rejection_ratio:.2f} plain steps: an engine with less host "
        f"work a round{_or_shorter(explanation)} would change that."
    )
