"""Where nothing meets the question: what comes closest, and what it would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from simulator.study.plan.bench import Variants
from simulator.study.plan.cheapest import Design
from simulator.study.plan.cost import affordable_gpus
from simulator.study.plan.decide import Assessment
from simulator.study.plan.objectives import requests_of
from simulator.study.plan.question import Question
from simulator.study.plan.result import Check, NearestMiss, Rejected
from simulator.study.plan.runs import Search, screenings

WIDER = (2, 4, 8, 16)
"""Pipeline stages that are tried for a model that fits nowhere."""

SMALLER = ("fp8", "fp8_block", "bfloat16/nvfp4", "fp8/nvfp4", "bfloat16/int4_wo")
"""Precisions that are tried for it."""


def nearest_refuted(question: Question, checks: Sequence[Check]) -> NearestMiss:
    """Return what the search took to hold, and fresh seeds refuted by least.

    One replica more would likely hold; it is beyond the limits, and was not tried.
    """

    def margin(found: Check) -> float:
        objectives = question.objectives
        return min(share.value - objectives[name].share for name, share in found.attainment.items())

    best = max(checks, key=margin)
    more = best.deployment.with_replicas(best.deployment.replicas + 1)
    return NearestMiss(
        deployment=best.deployment,
        attainment={name: share.value for name, share in best.attainment.items()},
        takes=(f"likely {more.gpus} x {more.gpu}, one replica more than the limits allow",),
    )


def nearest_simulated(question: Question, failed: Sequence[Assessment]) -> NearestMiss:
    """Return the simulated deployment that misses by least, and what would let it hold."""
    best = max(failed, key=_margin)
    shares = {
        name: found.value for name, found in zip(question.objectives, best.attainment, strict=True)
    }
    return NearestMiss(
        deployment=best.deployment,
        attainment=shares,
        takes=tuple(_relaxed(question, best)),
    )


def _margin(found: Assessment) -> float:
    pairs = zip(found.attainment, found.required, strict=True)
    return min(share.value - required for share, required in pairs)


def _relaxed(question: Question, found: Assessment) -> Iterator[str]:
    """Yield what the objectives would have to be, class by class."""
    rows = zip(question.objectives.items(), found.attainment, strict=True)
    for index, ((name, slo), share) in enumerate(rows):
        if share.value >= slo.share:
            continue
        yield (
            f"{100 * share.value:.1f} % of {requests_of(name)} in time to be enough, instead of "
            f"{100 * slo.share:g} %"
        )
        for bound, promised in slo.bounds.items():
            seen = [getattr(outcome.classes[index], bound).p99 for outcome in found.outcomes]
            worst = max((value for value in seen if value is not None), default=0.0)
            if worst > promised:
                latency = bound.removesuffix("_s").upper()
                whom = requests_of(name)
                yield f"a {latency} of {worst:.3g} s for {whom} instead of {promised:g} s"


def nearest_screened(question: Question, designs: Sequence[Design]) -> NearestMiss:
    """Return the deployment that fits best where the limits let none serve the target."""
    rate = question.target_rate
    best = min(designs, key=lambda design: design.likely_gpus(rate))
    gpus, gpu = best.likely_gpus(rate), best.deployment.gpu
    usd = question.usd_per_hour(gpu, gpus)
    price = f" at {usd:,.2f} USD an hour" if usd is not None else ""
    allowed = affordable_gpus(question, gpu)
    takes = [f"about {gpus} x {gpu}{price} (closed form)"]
    served = _served(best, allowed)
    if served > 0.0:
        takes.append(f"a target of about {served:.3g} requests/s instead of {rate:g} (closed form)")
    return NearestMiss(
        deployment=best.with_replicas(best.likely_replicas(rate)),
        attainment={},
        reason=f"the limits allow {allowed or 'no'} GPU{'s'[: allowed != 1]} of its kind",
        takes=tuple(takes),
    )


def _served(design: Design, gpus: int) -> float:
    return gpus // design.deployment.unit_gpus * design.screening.likely_rate


def nearest_rejected(variants: Variants, rejected: Sequence[Rejected]) -> Search[NearestMiss]:
    """Return what comes closest where no deployment even starts, and what would let it.

    Of a model that does not fit, more pipeline stages and smaller weights are tried.
    """
    hopeless = [one for one in rejected if one.kind == "objective"]
    if hopeless:
        best = min(hopeless, key=lambda one: one.shortfall)
        times = f"a bound {best.shortfall:.3g} times as long, or faster GPUs"
        return NearestMiss(
            deployment=best.deployment, attainment={}, reason=best.reason, takes=(times,)
        )
    short = [one for one in rejected if one.kind == "memory"] or list(rejected)
    largest = max(short, key=lambda one: one.deployment.unit_gpus)
    wider = [replace(largest.deployment, pipeline_parallel=stages) for stages in WIDER]
    smaller = [replace(largest.deployment, precision=precision) for precision in SMALLER]
    found = yield from screenings([variants.screening(one) for one in (*wider, *smaller)])
    takes = []
    fits = [not one.reason or one.kind == "objective" for one in found]
    stages = next((one for one, fit in zip(wider, fits, strict=False) if fit), None)
    if stages is not None:
        takes.append(
            f"{stages.unit_gpus} GPUs a replica (pipeline_parallel={stages.pipeline_parallel})"
        )
    takes += [
        f"weights in {one.precision} (precisions={one.precision}) on {one.unit_gpus} GPUs a replica"
        for one, fit in zip(smaller, fits[len(wider) :], strict=True)
        if fit
    ]
    return NearestMiss(
        deployment=largest.deployment, attainment={}, reason=largest.reason, takes=tuple(takes)
    )
