"""Which deployment tells where speculation stops paying."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.study.plan.bench import Bench
from simulator.study.plan.cheapest import Design
from simulator.study.plan.rates import highest_rate
from simulator.study.plan.result import Crossover
from simulator.study.plan.rows import Row, by_deployment
from simulator.study.plan.runs import Search
from simulator.study.plan.twins import crossover


def crossing_of(
    bench: Bench, rows: Sequence[Row], designs: Sequence[Design]
) -> Search[Crossover | None]:
    """Return where speculation stops paying, for the cheapest row that speculates.

    Where none does, for the first row's GPUs with the draft length that likely serves most. None
    where nothing holds the target, or no draft length above 0 was asked about.
    """
    screened = by_deployment(designs)
    for row in rows:
        plain = screened.get(row.design.deployment.without_speculation())
        if row.twin is not None and plain is not None:
            pair = row.design.screening, plain
            return (yield from crossover(bench, row.limit, row.twin, pair))
    if not rows:
        return None
    twin = rows[0].design.deployment
    drafting = [
        design
        for design in designs
        if design.deployment.speculates and design.deployment.without_speculation() == twin
    ]
    if not drafting:
        return None
    best = max(drafting, key=lambda design: design.screening.likely_rate)
    deployment = best.with_replicas(rows[0].deployment.replicas)
    limit = yield from highest_rate(bench, deployment, bench.question.target_rate)
    pair = best.screening, rows[0].design.screening
    return (yield from crossover(bench, limit, rows[0].limit, pair))
