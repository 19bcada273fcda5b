"""Speculative decoding as expert parallelism grows: speedup, and the penalty of small batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.compose import compose
from simulator.costs.forward import PartTime
from simulator.costs.step import StepShape
from simulator.scenario import Scenario, build
from simulator.study.decomposition import decompose

REDUNDANT = 32
"""Replicas of experts at every size, so that sizes differ in nothing else."""

SLOTS = 256 + REDUNDANT
"""Experts and replicas of a layer of DeepSeek-V3."""

TOPOLOGY = "rails_infiniband_h100_144"
"""Nodes of eight H200 are wired like those of eight H100."""

LARGEST = 144
"""GPUs of that topology."""


@dataclass(frozen=True, slots=True)
class Point:
    """Speculation at one size and batch, in closed form (MoESD eq. 4).

    Parameters
    ----------
    expert_parallel, batch
        GPUs, and requests that decode on each.
    speedup
        Of a round of drafts over plain decoding, at equal batch.
    target_efficiency
        Time of a plain step over that of a verify step.
    experts_penalty, exchange_penalty
        What a verify step spends on experts, and on dispatch and combine, beyond a plain step, as
        a share of the verify step.
    expert_share
        Share of a plain step that experts take.
    """

    expert_parallel: int
    batch: float
    speedup: float
    target_efficiency: float
    experts_penalty: float
    exchange_penalty: float
    expert_share: float

    @property
    def penalty(self) -> float:
        """What verification costs: 1 less the target efficiency."""
        return 1.0 - self.target_efficiency


@dataclass(frozen=True, slots=True)
class Curve:
    """One size of expert parallelism.

    Parameters
    ----------
    expert_parallel
        GPUs.
    points
        By batch of each GPU, those whose cache fits.
    same_requests
        All GPUs together with as many requests as there are in every curve.
    """

    expert_parallel: int
    points: tuple[Point, ...]
    same_requests: Point


def deployment(expert_parallel: int, gamma: int, alpha: float) -> Scenario:
    """Build DeepSeek-V3 with its MTP block on so many H200, in the layout of wide deployments."""
    size = expert_parallel
    words = [
        "model=deepseek_v3",
        "hardware=h200_sxm",
        f"hardware.topology={TOPOLOGY}",
        "hardware.tensor_parallel=1",
        f"hardware.data_parallel={size}",
        f"hardware.expert_parallel={size}",
        "hardware.all2all_backend=deepep_low_latency",
        "hardware.engine=sglang",
        f"experts.redundant={REDUNDANT}",
        f"speculation.gamma={gamma}",
        f"speculation.alpha={alpha}",
    ]
    return build(compose(words))


def curve(
    expert_parallel: int,
    batches: Sequence[float],
    *,
    gamma: int,
    alpha: float,
    context_tokens: float,
    same_requests: float,
) -> Curve:
    """Evaluate one size.

    Parameters
    ----------
    expert_parallel
        GPUs.
    batches
        Requests of each GPU.
    gamma, alpha
        Draft length and acceptance rate.
    context_tokens
        Mean cache length of a request.
    same_requests
        Requests of all GPUs together for `Curve.same_requests`.

    Raises
    ------
    SimulatorError
        If the deployment cannot run, or its cache holds none of the batches.
    """
    scenario = deployment(expert_parallel, gamma, alpha)
    held = scenario.deployment(gamma).kv_capacity_tokens / (expert_parallel * context_tokens)
    return Curve(
        expert_parallel,
        tuple(_point(scenario, batch, context_tokens) for batch in batches if batch <= held),
        _point(scenario, same_requests / expert_parallel, context_tokens),
    )


def _point(scenario: Scenario, batch: float, context_tokens: float) -> Point:
    steps, gamma = scenario.step_model, scenario.config.speculation.gamma
    size = scenario.parallelism.expert
    requests = batch * size
    terms = decompose(steps, scenario.acceptance, requests, context_tokens, gamma)
    plain = steps.target_step(StepShape(requests, 1, context_tokens))
    verify = steps.target_step(steps.verify_shape(requests, gamma, context_tokens))

    def penalty(*names: str) -> float:
        """Return the extra time of parts as a share of the verify step."""
        empty = PartTime()
        more = sum(
            verify.parts.get(name, empty).seconds - plain.parts.get(name, empty).seconds
            for name in names
        )
        return more / verify.total_s

    return Point(
        size,
        batch,
        terms.speedup,
        terms.target_efficiency,
        penalty("experts"),
        penalty("dispatch", "combine"),
        plain.parts["experts"].seconds / plain.total_s,
    )
