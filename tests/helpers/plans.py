"""Plans made up for those who say what a plan says: one that found offers, one that found none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from simulator.compose import compose
from simulator.study.plan.deployment import Deployment, Split
from simulator.study.plan.question import Candidates, Limits, Question
from simulator.study.plan.result import (
    Check,
    ClassOutcome,
    Confirmation,
    Counts,
    Crossover,
    Gain,
    Headroom,
    NearestMiss,
    Offer,
    OperatingPoint,
    Plan,
    Rejected,
)
from simulator.trace.statistics import Interval

OVERRIDES = (
    "model=qwen3_235b_a22b",
    "workload=mix",
    "workload.mix=[{preset: chat, share: 7},{preset: reasoning, share: 3}]",
    "workload.rate=20",
    "workload.max_prompt_tokens=8192",
    "workload.max_output_tokens=8192",
)

H200 = Deployment(
    model="qwen3_235b_a22b",
    gpu="h200_sxm",
    precision="fp8",
    tensor_parallel=4,
    expert_parallel=4,
    gamma=3,
    replicas=3,
)
B300 = replace(H200, gpu="b300_sxm", tensor_parallel=2, expert_parallel=2, gamma=1)
H100 = replace(H200, gpu="h100_sxm", tensor_parallel=8, expert_parallel=8, gamma=0)


def spread(value: float, part: float = 0.03) -> Interval:
    """An interval around a value, as wide as a part of it."""
    return Interval(value, (1 - part) * value, (1 + part) * value)


def outcome(name: str, attainment: float, slower: float = 1.0) -> ClassOutcome:
    """What a class sees, its latencies slower by a factor."""
    return ClassOutcome(
        name=name,
        required=0.99,
        attainment=Interval(attainment, attainment - 0.002, min(1.0, attainment + 0.002)),
        missed={"ttft_s": 1 - attainment, "tpot_s": 0.0},
        ttft_s={"p50": 0.21 * slower, "p90": 0.62 * slower, "p99": 1.24 * slower},
        tpot_s={"p50": 0.021 * slower, "p90": 0.028 * slower, "p99": 0.036 * slower},
        e2e_s={"p50": 9.0 * slower, "p90": 21.0 * slower, "p99": None},
    )


GAIN = Gain(max_rate=spread(1.31), tpot=spread(1.62), twin_max_rate_per_s=spread(17.9))
HEADROOM = Headroom(
    one_less={"chat": 0.97, "reasoning": 0.71},
    one_less_holds=False,
    replicas_n_plus_1=4,
    peak_to_mean=1.71,
    peak={"chat": 0.62, "reasoning": 0.31},
    peak_holds=False,
    peak_replicas=5,
)


def offer(deployment: Deployment, **changes) -> Offer:
    """An offer that meets, with everything known but what is changed."""
    usual = {
        "deployment": deployment,
        "meets": True,
        "classes": (outcome("chat", 0.998), outcome("reasoning", 0.993, 1.2)),
        "max_rate_per_s": spread(23.4),
        "output_tokens_per_s": 14_200.0,
        "utilisation": 0.92,
        "acceptance_length": 2.21,
        "binding_constraint": "tpot",
        "usd_per_hour": 75.66,
        "joules_per_token": 0.59,
        "gain": GAIN,
        "headroom": HEADROOM,
    }
    return Offer(**usual | changes)


@cache
def question(**changes) -> Question:
    """Ask for 20 requests per second of chat and reasoning on three kinds of GPU."""
    usual = {
        "overrides": OVERRIDES,
        "config": compose(OVERRIDES),
        "candidates": Candidates(gpus=("h200_sxm", "b300_sxm", "h100_sxm")),
        "limits": Limits(max_gpus=64),
        "usd_per_gpu_hour": {"h200_sxm": 6.305, "h100_sxm": 6.155},
    }
    return Question(**usual | changes)


def points() -> tuple[OperatingPoint, ...]:
    """Operating points of two deployments, with and without speculation."""
    return tuple(
        OperatingPoint(
            deployment=deployment.with_replicas(1),
            batch=batch,
            tokens_per_s_per_gpu=scale * batch**0.7,
            tokens_per_s_per_user=120.0 * scale / batch**0.3 / 12,
            simulated=batch == 64,
            pareto=deployment == H200,
        )
        for deployment, scale in ((H200, 14.0), (H100, 11.0), (B300, 13.0))
        for batch in (1, 4, 16, 64, 256)
    )


def plan(**changes) -> Plan:
    """A plan of three offers: the second has no price, the third does not meet."""
    missed = "95.1 % of reasoning are in time, 99 % must be."
    usual = {
        "question": question(),
        "run_overrides": ("run.requests=2000", "run.replications=3"),
        "offers": (
            offer(H200),
            offer(B300, usd_per_hour=None, max_rate_per_s=spread(26.1), binding_constraint="ttft"),
            offer(
                H100,
                meets=False,
                reason=missed,
                classes=(outcome("chat", 0.991), outcome("reasoning", 0.951, 2.0)),
                usd_per_hour=147.72,
                gain=None,
                headroom=None,
                acceptance_length=1.0,
                max_rate_per_s=None,
            ),
        ),
        "confirmation": Confirmation(
            seeds=(101, 102, 103, 104, 105),
            top=Check(
                deployment=H200,
                meets=True,
                attainment={"chat": spread(0.998, 0.001), "reasoning": spread(0.992, 0.001)},
            ),
            cheaper=Check(
                deployment=H200.with_replicas(2),
                meets=False,
                attainment={"chat": spread(0.97, 0.01), "reasoning": spread(0.71, 0.05)},
                reason="71 % of reasoning are in time, 99 % must be.",
            ),
        ),
        "operating_points": points(),
        "crossover": Crossover(
            deployment=H200,
            batch=180,
            largest_batch=256,
            rate_per_s=None,
            pairs=((10.0, spread(1.7)), (20.0, spread(1.62))),
        ),
        "rejected": (
            Rejected(
                deployment=H100.with_replicas(1),
                reason="Qwen3-235B-A22B takes 470 GB, 4 x h100_sxm hold 290 GB",
                kind="memory",
            ),
        ),
        "nearest_miss": None,
        "counts": Counts(
            candidates=420, screened=300, pruned=96, evaluated=24, simulated=131, cached=12
        ),
        "assumptions": ("Acceptance of 2.21 tokens a round (speculation=chat).",),
    }
    return Plan(**usual | changes)


def empty_plan(**changes) -> Plan:
    """A plan that found nothing, and says what comes closest."""
    miss = NearestMiss(
        deployment=H200.with_replicas(5),
        attainment={"chat": 0.93, "reasoning": 0.41},
        takes=(
            "a TPOT of 95 ms for reasoning instead of 80 ms.",
            "108 GPUs instead of 64.",
        ),
    )
    return plan(
        **{
            "offers": (
                offer(
                    H200,
                    meets=False,
                    reason="41 % of reasoning are in time, 99 % must be.",
                    gain=None,
                ),
            ),
            "confirmation": None,
            "crossover": None,
            "nearest_miss": miss,
        }
        | changes
    )


SPLIT = replace(H200, split=Split(1, 2))
"""Prefill and decode apart."""
