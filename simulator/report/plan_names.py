"""What people call the parts of a plan: deployments, money, objectives missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.hardware.gpu import load_gpu
from simulator.models.catalog import default_drafter, load_architecture, load_drafter
from simulator.report.figures import number
from simulator.speculation.policies import FIXED
from simulator.study.plan.deployment import NATIVE, Deployment
from simulator.study.plan.objectives import requests_of
from simulator.study.plan.result import Plan
from simulator.trace.statistics import Interval


def hardware(deployment: Deployment) -> str:
    """Say which GPUs it takes.

    Examples
    --------
    >>> hardware(Deployment(model="m", gpu="h100_sxm", tensor_parallel=4, replicas=2))
    '8 x NVIDIA H100 SXM 80 GB'
    """
    return f"{deployment.gpus} x {load_gpu(deployment.gpu).title}"


def grid(deployment: Deployment) -> str:
    """Say how it is spread over them.

    Examples
    --------
    >>> grid(Deployment(model="m", gpu="h100_sxm", tensor_parallel=4, replicas=2))
    '2 replicas of TP 4'
    """
    count, spread = deployment.replicas, str(deployment.parallelism)
    if deployment.split is not None:
        prefill, decode = deployment.split.prefill, deployment.split.decode
        return f"{count * prefill} prefill and {count * decode} decode replicas of {spread}"
    return f"{count} replicas of {spread}" if count > 1 else f"one replica of {spread}"


def precision(deployment: Deployment) -> str:
    """Say its formats, or nothing where they are those of the model's file.

    Examples
    --------
    >>> precision(Deployment(model="m", gpu="l40s", precision="fp8"))
    ', in fp8'
    """
    return "" if deployment.precision == NATIVE else f", in {deployment.precision}"


def drafting(plan: Plan, deployment: Deployment) -> str:
    """Say what drafts, and how much."""
    if not deployment.speculates:
        return "without speculation"
    chosen = plan.question.config.speculation.drafter or default_drafter(deployment.model)
    tokens = f"{deployment.gamma} token" + ("s" if deployment.gamma > 1 else "")
    if deployment.policy != FIXED:
        tokens = f"up to {tokens} by {deployment.policy}"
    return f"with drafts of {tokens} ({load_drafter(chosen).title})"


def in_full(plan: Plan, deployment: Deployment) -> str:
    """Say hardware, grid, precision and drafts in one go."""
    return (
        f"{hardware(deployment)} ({grid(deployment)}{precision(deployment)}), "
        f"{drafting(plan, deployment)}"
    )


def model_title(plan: Plan, deployment: Deployment) -> str:
    """Name the model of a deployment: one of several candidates, or that of the scenario."""
    if plan.question.candidates.models:
        return load_architecture(deployment.model).title
    return plan.question.config.model.title


def model_titles(plan: Plan) -> str:
    """Name all models that a plan chooses from."""
    names = plan.question.candidates.models
    titles = [load_architecture(name).title for name in names]
    return listed(titles or [plan.question.config.model.title])


def interval(found: Interval) -> str:
    """Write the interval of an estimate in brackets, or nothing if there is none.

    Examples
    --------
    >>> interval(Interval(1.3, 1.25, 1.35)), interval(Interval(1.3, None, None))
    (' (95 % interval 1.25 to 1.35)', '')
    """
    if found.low is None or found.high is None:
        return ""
    return f" (95 % interval {number(found.low)} to {number(found.high)})"


def traffic(plan: Plan) -> str:
    """Say what kind of requests come: the preset, the shares of a mix, or the kind of workload."""
    workload = plan.question.config.workload
    if not workload.mix:
        return workload.preset or workload.kind
    total = sum(part.share for part in workload.mix)
    parts = [f"{share(part.share / total)} {part.name or part.preset}" for part in workload.mix]
    return listed(parts)


def share(value: float) -> str:
    """Write a share of requests in percent, with one decimal where that tells it from the next.

    Examples
    --------
    >>> share(0.99), share(0.951), share(1.0)
    ('99 %', '95.1 %', '100 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def attained(attainment: Mapping[str, float]) -> str:
    """Say what share of each class is in time.

    Examples
    --------
    >>> attained({"chat": 0.93, "reasoning": 0.41})
    '93 % of chat and 41 % of reasoning are in time'
    >>> attained({"all": 0.93})
    '93 % of the requests are in time'
    """
    shares = [f"{share(value)} of {requests_of(name)}" for name, value in attainment.items()]
    return f"{listed(shares)} are in time"


def listed(parts: Sequence[str]) -> str:
    """Join parts as a sentence does.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def rate(value: float) -> str:
    """Write a rate of requests.

    Examples
    --------
    >>> rate(20.0), rate(23.44)
    ('20 requests/s', '23.4 requests/s')
    """
    return f"{number(value).removesuffix('.0').removesuffix('.00')} requests/s"
