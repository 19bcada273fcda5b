"""What a plan rests on, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.scenario import build
from simulator.study.assumptions import assumptions
from simulator.study.plan.bench import Bench
from simulator.study.plan.deployment import NATIVE
from simulator.study.plan.rows import Row


def premises(bench: Bench, rows: Sequence[Row]) -> tuple[str, ...]:
    """List what was assumed: of the plan, and of the simulation of its first row."""
    question, horizon = bench.question, bench.horizon
    peak, source = question.peak
    found = [
        f"the load is the mean, {question.target_rate:g} requests/s, all the time; hours and "
        "swings come in through the peak hour alone",
        f"runs see {horizon.span_s:.0f} s of arrivals, of which the first "
        f"{horizon.warmup_fraction:.0%} fill the deployment and are cut",
        f"the peak hour has {peak:g} times the mean rate ({source})",
        f"highest rates are found to within {question.effort.rate_tolerance:.0%} in each "
        "replication; percentiles of latencies are means over the replications of theirs",
        "replicas are equal, and none fails or is added while it runs",
    ]
    if any(precision != NATIVE for precision in question.candidates.precisions):
        found.append(
            "weights in another format than published are taken to exist, and to answer and to "
            "draft alike"
        )
    unknown = [
        gpu for gpu in question.candidates.gpus if question.usd_per_gpu_hour.get(gpu) is None
    ]
    if unknown:
        found.append(
            f"no price is known of {', '.join(unknown)}: ranked by GPUs, behind the others"
        )
    if rows:
        config = bench.simulation(rows[0].deployment, question.target_rate, 0).config
        run = replace(config.run, requests=1)
        found += assumptions(build(replace(config, run=run)), None)
    return tuple(dict.fromkeys(found))
