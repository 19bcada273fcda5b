"""Wide expert parallelism as one study: reported throughput, and speculation as EP grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulator.errors import ConfigError
from simulator.study.wide_ep.decode import Modelled, model
from simulator.study.wide_ep.published import reported_deployments
from simulator.study.wide_ep.speculation import LARGEST, SLOTS, Curve, curve
from simulator.trace.json_file import Json

SAME_REQUESTS = 16.0
"""Requests of all GPUs together at which sizes are compared as well: a small batch for EP 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to study.

    Parameters
    ----------
    expert_parallel
        GPUs of each curve.
    batches
        Requests of each GPU.
    gamma, alpha
        Draft length of multi-token prediction, and acceptance rate.
    context_tokens
        Mean cache length of a request.

    Raises
    ------
    ConfigError
        If there is nothing to compare, a size does not divide the slots, or a count is below one.
    """

    expert_parallel: Sequence[int]
    batches: Sequence[int]
    gamma: int
    alpha: float
    context_tokens: int

    def __post_init__(self) -> None:
        for name in ("expert_parallel", "batches"):
            sizes = list(getattr(self, name))
            if len(sizes) < 2 or sorted(set(sizes)) != sizes or sizes[0] < 1:
                raise ConfigError(
                    f"{name}={sizes} must be two sizes or more, each above the one before."
                )
        fitting = [size for size in range(1, LARGEST + 1) if SLOTS % size == 0]
        for size in self.expert_parallel:
            if size not in fitting:
                raise ConfigError(
                    f"expert_parallel={size} does not share out the {SLOTS} slots of experts and "
                    f"replicas; sizes that do: {', '.join(map(str, fitting))}."
                )
        if self.gamma < 1 or self.context_tokens < 1:
            raise ConfigError(
                f"gamma={self.gamma} and context_tokens={self.context_tokens} must be at least 1."
            )


@dataclass(frozen=True, slots=True)
class WideEp:
    """What was found.

    Parameters
    ----------
    plan
        What was asked.
    deployments
        Those reported, as modelled.
    curves
        Speculation by size.
    """

    plan: Plan
    deployments: tuple[Modelled, ...]
    curves: tuple[Curve, ...]

    @property
    def least_penalty(self) -> Curve:
        """The size at which the smallest batch loses least."""
        return min(self.curves, key=lambda one: one.points[0].penalty)

    @property
    def shrinks(self) -> bool:
        """Whether the penalty of the smallest batch falls up to that size, which is not the first.

        Beyond it, it may rise again.
        """
        found = [one.points[0].penalty for one in self.curves]
        least = found.index(min(found))
        return least > 0 and all(a > b for a, b in pairwise(found[: least + 1]))


def steps(plan: Plan) -> int:
    """Return how often `validate_wide_ep` reports progress."""
    return len(reported_deployments()) + len(plan.expert_parallel)


def validate_wide_ep(plan: Plan, advance: Callable[[], object] = lambda: None) -> WideEp:
    """Model what was reported, and speculation at every size.

    Parameters
    ----------
    plan
        What to study.
    advance
        Called after each deployment and size.

    Raises
    ------
    SimulatorError
        If a deployment cannot run.
    """
    deployments, curves = [], []
    for size in plan.expert_parallel:
        curves.append(
            curve(
                size,
                plan.batches,
                gamma=plan.gamma,
                alpha=plan.alpha,
                context_tokens=plan.context_tokens,
                same_requests=SAME_REQUESTS,
            )
        )
        advance()
    for reported in reported_deployments():
        deployments.append(model(reported))
        advance()
    return WideEp(plan, tuple(deployments), tuple(curves))


def summary(found: WideEp) -> Json:
    """Return what ``summary.json`` says: metrics, parts of every step, and every point."""
    metrics: dict[str, float | bool] = {
        "small_batch_penalty_shrinks": found.shrinks,
        "least_small_batch_penalty_ep": found.least_penalty.expert_parallel,
    }
    for one in found.deployments:
        name = one.reported.name
        metrics[f"{name}_reported_tokens_per_s_node"] = one.reported.output_tokens.value
        metrics[f"{name}_reported_step_s"] = one.reported_step_s
        for variant in one.variants:
            metrics[f"{name}_{variant.name}_tokens_per_s_node"] = variant.tokens_per_s
            metrics[f"{name}_{variant.name}_ratio"] = variant.ratio
        metrics |= {f"{name}_{part}_s": time.seconds for part, time in one.parts.items()}
    for line in found.curves:
        for point in line.points:
            name = f"ep{line.expert_parallel}_batch{point.batch:g}"
            metrics[f"{name}_speedup"] = point.speedup
            metrics[f"{name}_target_efficiency"] = point.target_efficiency
            metrics[f"{name}_experts_penalty"] = point.experts_penalty
        name = f"ep{line.expert_parallel}_requests{SAME_REQUESTS:g}"
        metrics[f"{name}_target_efficiency"] = line.same_requests.target_efficiency
    return {
        "metrics": metrics,
        "deployments": [_deployment(one) for one in found.deployments],
        "sources": {
            one.reported.name: {
                key: getattr(one.reported, key).source
                for key in ("output_tokens", "batch", "context_tokens", "mtp_acceptance")
            }
            for one in found.deployments
        },
    }


def _deployment(one: Modelled) -> Json:
    """Return a deployment's step by part, with how each is known."""
    return {
        "name": one.reported.name,
        "overrides": list(one.reported.overrides),
        "parts": {part: time._asdict() for part, time in one.parts.items()},
        "busiest_tokens": one.busiest_tokens,
        "busiest_experts": one.busiest_experts,
    }
