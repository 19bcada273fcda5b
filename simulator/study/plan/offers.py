"""From what was simulated to the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.study.plan.cheapest import Design
from simulator.study.plan.confirm import shortfall
from simulator.study.plan.decide import Assessment
from simulator.study.plan.outcome import ClassSeen, Outcome
from simulator.study.plan.question import Question
from simulator.study.plan.rates import RateLimit
from simulator.study.plan.result import ClassOutcome, Gain, Headroom, Offer
from simulator.study.plan.screening import Screening
from simulator.trace.latencies import QUANTILES, enough

FULL = 0.95
"""Share of a limit that counts as all of it, for what binds. Assumed."""


def offer_of(
    question: Question,
    found: Assessment,
    *,
    design: Design | None = None,
    limit: RateLimit | None = None,
    gain: Gain | None = None,
    headroom: Headroom | None = None,
) -> Offer:
    """Return the row of a deployment.

    Parameters
    ----------
    question
        What was asked.
    found
        The deployment at the target rate.
    design
        With its screening, to say what binds.
    limit, gain, headroom
        What else is known of it.
    """
    deployment, outcomes = found.deployment, found.outcomes
    binding = "none"
    if design is not None:
        beyond = found.outcomes if not found.holds else limit.beyond if limit else ()
        binding = binding_constraint(beyond, design.screening)
    return Offer(
        deployment=deployment,
        meets=found.holds,
        reason="" if found.holds else shortfall(question, found),
        classes=tuple(
            _class(name, required, index, found)
            for index, (name, required) in enumerate(
                zip(question.objectives, found.required, strict=True)
            )
        ),
        max_rate_per_s=limit.rate if limit else None,
        output_tokens_per_s=_mean([one.output_tokens_per_s for one in outcomes]),
        utilisation=_mean([one.utilisation for one in outcomes]),
        acceptance_length=_mean([one.acceptance_length for one in outcomes]),
        binding_constraint=binding,
        usd_per_hour=question.usd_per_hour(deployment.gpu, deployment.gpus),
        gain=gain,
        headroom=headroom,
    )


def _class(name: str, required: float, index: int, found: Assessment) -> ClassOutcome:
    seen = [outcome.classes[index] for outcome in found.outcomes]
    requests = sum(one.requests for one in seen)
    missed = {
        bound: sum(getattr(one.missed, bound) for one in seen) / max(1, requests)
        for bound in ("ttft_s", "tpot_s", "e2e_s")
    }
    return ClassOutcome(
        name=name,
        required=required,
        attainment=found.attainment[index],
        missed=missed,
        ttft_s=_percentiles(seen, "ttft_s"),
        tpot_s=_percentiles(seen, "tpot_s"),
        e2e_s=_percentiles(seen, "e2e_s"),
    )


def _percentiles(seen: Sequence[ClassSeen], latency: str) -> dict[str, float | None]:
    """Return means over the replications of percentiles that enough requests stand behind."""
    requests = sum(one.requests for one in seen)
    return {
        label: _mean([getattr(getattr(one, latency), label) for one in seen])
        if enough(requests, quantile)
        else None
        for label, quantile in QUANTILES.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def binding_constraint(beyond: Sequence[Outcome], screening: Screening) -> str:
    """Name what stops a deployment from serving more, one of `result.BINDING_CONSTRAINTS`.

    Parameters
    ----------
    beyond
        What was seen at a rate that it does not hold; empty where it held all that were tried.
    screening
        In closed form.
    """
    if not beyond:
        return "none"
    missed = {
        bound: sum(getattr(seen.missed, bound) for outcome in beyond for seen in outcome.classes)
        for bound in ("ttft_s", "tpot_s", "e2e_s")
    }
    worst = max(missed, key=lambda bound: missed[bound])
    if worst != "ttft_s":
        return worst.removesuffix("_s")
    return _why_prompts_wait(beyond, screening)


def _why_prompts_wait(outcomes: Sequence[Outcome], screening: Screening) -> str:
    """Name what keeps prompts waiting: a full cache, a full batch, or the work itself."""
    cache = _mean([one.kv_usage for one in outcomes]) or 0.0
    peak = max(one.kv_usage_peak for one in outcomes)
    batch = _mean([one.mean_batch for one in outcomes]) or 0.0
    if peak >= FULL and cache >= FULL * FULL:
        return "kv_memory"
    if screening.batches and batch >= FULL * screening.batches[-1]:
        return "max_num_seqs"
    if not any(one.overloaded for one in outcomes):
        return "ttft"
    return "prefill" if screening.binding == "prefill" else "decode"
