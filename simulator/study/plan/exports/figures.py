"""A plan as flat figures, for ``summary.json``."""

from __future__ import annotations

from dataclasses import asdict

from simulator.study.plan.result import Plan
from simulator.trace.statistics import value_of


def metrics(plan: Plan) -> dict[str, float | None]:
    """Return the figures of the best offer, and what the search did, each unit in its name.

    ``meets`` is 1 where an offer holds the objectives; without one, its figures are left out.
    """
    best, found = plan.best, plan.crossover
    flat: dict[str, float | None] = {
        "meets": float(best is not None),
        "target_rate_per_s": plan.question.target_rate,
    }
    if best is not None:
        gain = best.gain
        flat |= {
            "gpus": best.deployment.gpus,
            "gamma": best.deployment.gamma,
            "usd_per_hour": best.usd_per_hour,
            "usd_per_million_tokens": best.usd_per_million_tokens,
            "joules_per_token": best.joules_per_token,
            "max_rate_per_s": value_of(best.max_rate_per_s),
            "speedup": value_of(gain.max_rate) if gain else None,
            "tpot_speedup": value_of(gain.tpot) if gain else None,
            "acceptance_length": best.acceptance_length,
        }
    if found is not None:
        flat |= {"crossover_batch": found.batch, "crossover_rate_per_s": found.rate_per_s}
    return flat | asdict(plan.counts)
