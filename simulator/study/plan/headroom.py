"""What is left when a replica is lost, and at the peak hour."""

from __future__ import annotations

import math
from collections.abc import Collection

from simulator.study.plan.bench import Bench
from simulator.study.plan.decide import Assessment, assess
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.rates import RateLimit
from simulator.study.plan.result import Headroom
from simulator.study.plan.runs import Search


def headroom(
    bench: Bench, limit: RateLimit, refuted: Collection[Deployment] = ()
) -> Search[Headroom]:
    """Look at a deployment with one replica less, and at the peak rate, sustained.

    Parameters
    ----------
    bench
        Where it runs.
    limit
        Its highest rate.
    refuted
        Deployments that fresh seeds have refuted: these do not hold, whatever the search saw.
    """
    deployment, target = limit.deployment, bench.question.target_rate
    replicas, (peak_to_mean, _) = deployment.replicas, bench.question.peak
    fewer: Assessment | None = None
    if replicas > 1:
        fewer = yield from assess(bench, deployment.with_replicas(replicas - 1), target)
    holds = fewer is not None and fewer.holds and fewer.deployment not in refuted
    peak = yield from assess(bench, deployment, target * peak_to_mean)
    each = limit.rate.value / replicas
    enough = math.ceil(target * peak_to_mean / each - 1e-9) if each else replicas
    return Headroom(
        one_less=_shares(bench, fewer) if fewer is not None else None,
        one_less_holds=holds,
        replicas_n_plus_1=replicas if holds else replicas + 1,
        peak_to_mean=peak_to_mean,
        peak=_shares(bench, peak),
        peak_holds=peak.holds,
        peak_replicas=replicas if peak.holds else max(replicas + 1, enough),
    )


def _shares(bench: Bench, found: Assessment) -> dict[str, float]:
    """Return the attainment by class."""
    values = (share.value for share in found.attainment)
    return dict(zip(bench.question.objectives, values, strict=True))
