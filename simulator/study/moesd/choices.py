"""What other choices of the calibration of Qwen2-57B-A14B would have given, by the closed form.

The closed form agrees with the simulation to a fraction of a percent, and takes no simulating.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from simulator.costs.engine import Engine
from simulator.study.moesd.calibration import (
    MOE_PAIR,
    Calibration,
    draft_host,
    in_unknown_unit,
    with_draft_overhead,
)
from simulator.study.moesd.experiment import (
    MOE,
    REFERENCE_GAMMA,
    published_sigma,
    reference_curve,
    speedup_curves,
)
from simulator.study.moesd.scores import Reproduced, mean_error, peak_error
from simulator.study.moesd.terms import Terms, terms

PAIR_BATCHES = (1, 4, 8, 12, 16, 32, 40, 60, 80, 100)
"""Batches among which pairs are chosen."""

MEASURED_OVERLAP = 0.84
"""Exponent of overlap that the paper's fig. 1 shows for DeepSeek-V2-Lite (kind: fitted); none is
known of Qwen2-57B-A14B."""

ByGamma = Mapping[int, Terms]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a choice would have given.

    Parameters
    ----------
    title
        The choice.
    error, peak_error
        Mean absolute errors of the speedups over cells that it did not look at, and of the peaks.
    numbers
        Calibrated numbers, SI units.
    pair
        The batches at which the time beyond the target's was looked at.
    """

    title: str
    error: float
    peak_error: float
    numbers: dict[str, float]
    pair: tuple[int, ...]

    @property
    def refused(self) -> bool:
        """Whether it leaves an overhead below zero."""
        return any(value < 0 for value in self.numbers.values())


def moe_terms(engine: Engine) -> ByGamma:
    """Price the terms of Qwen2-57B-A14B at every draft length of its curves."""
    found = speedup_curves(MOE)
    return {g: terms(MOE, g, found[0].batch, engine) for g in sorted({c.gamma for c in found})}


def closed_form(by_gamma: ByGamma, pair: tuple[int, ...] = MOE_PAIR) -> list[Reproduced]:
    """Return the speedup curves of Qwen2-57B-A14B by the closed form."""
    looked_at = reference_curve(MOE)
    return [
        Reproduced(
            curve,
            by_gamma[curve.gamma].speedup(published_sigma(curve) * (curve.gamma + 1)),
            pair if curve == looked_at else (),
        )
        for curve in speedup_curves(MOE)
    ]


def other_pairs(read: Calibration) -> list[Choice]:
    """Calibrate the host time of draft steps on every pair of ten batches.

    Parameters
    ----------
    read
        Step times as read, with any host time of draft steps.
    """
    base = moe_terms(read.engine)
    choices = []
    for pair in combinations(PAIR_BATCHES, 2):
        step_s, request_s = draft_host(base[REFERENCE_GAMMA], pair)
        moved = {g: found.with_draft_host(step_s, request_s) for g, found in base.items()}
        numbers = {
            "draft_step_s": read.engine.draft_step_s + step_s,
            "draft_request_s": read.engine.draft_request_s + request_s,
        }
        choices.append(_choice(f"{pair}", moved, numbers, pair))
    return choices


def other_models(start: Engine, tried: list[Calibration]) -> list[Choice]:
    """Compare readings of the step times, and models of the engine.

    Parameters
    ----------
    start
        The profile before calibration.
    tried
        The readings; the last is the one that was kept.
    """
    kept = tried[-1]
    choices = [_choice("nothing calibrated", moe_terms(start), {}, ())]
    choices += [_choice(c.title, moe_terms(c.engine), c.numbers, MOE_PAIR) for c in tried]
    choices.append(_per_round(start, kept))
    alike = with_draft_overhead(
        in_unknown_unit(replace(start, routing_across_requests=MEASURED_OVERLAP)), MOE_PAIR
    )
    title = f"kept reading, overlap {MEASURED_OVERLAP}"
    choices.append(_choice(title, moe_terms(alike.engine), alike.numbers, MOE_PAIR))
    whole = with_draft_overhead(in_unknown_unit(replace(start, batch_expansion=0.0)), MOE_PAIR)
    choices.append(
        _choice(
            "kept reading, no batch expansion",
            moe_terms(whole.engine),
            whole.numbers,
            MOE_PAIR,
        )
    )
    return choices


def _per_round(start: Engine, kept: Calibration) -> Choice:
    """Charge the missing host time to the round, whatever the draft length."""
    plain = {name: getattr(start, name) for name in ("draft_step_s", "draft_request_s")}
    base = moe_terms(replace(kept.engine, **plain))
    step_s, request_s = draft_host(base[REFERENCE_GAMMA], MOE_PAIR)
    step_s, request_s = REFERENCE_GAMMA * step_s, REFERENCE_GAMMA * request_s
    moved = {g: found.with_round_host(step_s, request_s) for g, found in base.items()}
    numbers = {
        "round_step_s": start.verify_step_s - start.plain_step_s + step_s,
        "round_request_s": start.verify_request_s - start.plain_request_s + request_s,
    }
    return _choice("kept reading, host time per round", moved, numbers, MOE_PAIR)


def _choice(
    title: str, by_gamma: ByGamma, numbers: dict[str, float], pair: tuple[int, ...]
) -> Choice:
    found = closed_form(by_gamma, pair)
    return Choice(title, mean_error(found), peak_error(found), numbers, pair)
