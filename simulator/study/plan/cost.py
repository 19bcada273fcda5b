"""What orders deployments: dollars where the price is known, GPUs where it is not."""

from __future__ import annotations

from typing import NamedTuple

from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Question


class Cost(NamedTuple):
    """What a deployment costs, to compare.

    Parameters
    ----------
    unknown
        Whether no price is known; these come last.
    usd_per_hour
        Price; 0 where it is unknown.
    gpus
        GPUs.
    """

    unknown: bool
    usd_per_hour: float
    gpus: int


def cost_of(question: Question, deployment: Deployment) -> Cost:
    """Return what a deployment costs."""
    price = question.usd_per_hour(deployment.gpu, deployment.gpus)
    return Cost(price is None, price or 0.0, deployment.gpus)


def affordable_gpus(question: Question, gpu: str) -> int:
    """Return how many GPUs of a kind the limits allow."""
    limits, price = question.limits, question.usd_per_gpu_hour.get(gpu)
    if limits.max_usd_per_hour is None or not price:
        return limits.max_gpus
    return min(limits.max_gpus, int(limits.max_usd_per_hour / price + 1e-9))
