"""Speculation against the same GPUs without it: at the objectives, and load by load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.study.plan.bench import Bench
from simulator.study.plan.decide import Assessment, assess
from simulator.study.plan.rates import REPLICATIONS, RateLimit, highest_rate, rate_ratio
from simulator.study.plan.result import Crossover, Gain
from simulator.study.plan.runs import Search
from simulator.study.plan.screening import Screening
from simulator.trace.statistics import Interval, paired_ratio

LIGHT_LOAD = 0.25
"""Share of the highest rate at which a pair is simulated, beside the target and the highest rates.
Assumed: few requests meet."""


def gain(bench: Bench, limit: RateLimit, likely_rate: float) -> Search[tuple[Gain, RateLimit]]:
    """Compare a deployment that speculates with its twin on the same GPUs.

    Parameters
    ----------
    bench
        Where they run.
    limit
        The highest rate of the one that speculates.
    likely_rate
        What the twin will likely hold, requests/s.
    """
    twin = limit.deployment.without_speculation()
    other = yield from highest_rate(bench, twin, likely_rate)
    pair = yield from _pair(bench, limit, bench.question.target_rate)
    found = Gain(
        max_rate=rate_ratio(limit, other, bench.question.effort.rate_tolerance),
        tpot=tpot_ratio(*pair),
        twin_max_rate_per_s=other.rate,
    )
    return found, other


def crossover(
    bench: Bench,
    limit: RateLimit,
    other: RateLimit,
    screened: tuple[Screening, Screening],
) -> Search[Crossover]:
    """Find where speculation stops paying.

    Parameters
    ----------
    bench
        Where deployments run.
    limit, other
        Highest rates with and without speculation.
    screened
        Both in closed form.
    """
    highest = max(limit.rate.value, other.rate.value)
    target = bench.question.target_rate
    rates = {LIGHT_LOAD * highest, limit.rate.value, other.rate.value, target}
    pairs: list[tuple[float, Interval]] = []
    for rate in sorted(rate for rate in rates if rate > 0.0):
        ratio = tpot_ratio(*(yield from _pair(bench, limit, rate)))
        if ratio is not None:
            pairs.append((rate, ratio))
    batch, largest = crossover_batch(*screened)
    return Crossover(
        deployment=limit.deployment,
        batch=batch,
        largest_batch=largest,
        rate_per_s=crossover_rate(pairs),
        pairs=tuple(pairs),
    )


def _pair(bench: Bench, limit: RateLimit, rate: float) -> Search[tuple[Assessment, Assessment]]:
    """Assess a deployment with and without speculation at a rate."""
    least = min(REPLICATIONS, bench.question.effort.replications)
    on = yield from assess(bench, limit.deployment, rate, least=least)
    off = yield from assess(bench, limit.deployment.without_speculation(), rate, least=least)
    return on, off


def tpot_ratio(on: Assessment, off: Assessment) -> Interval | None:
    """Return the median time per output token without over that with speculation, paired.

    None where one of the two cannot keep up: its batch is then as large as the limits let it be,
    whatever the load.
    """
    if any(outcome.saturated for outcome in (*on.outcomes, *off.outcomes)):
        return None
    count = min(len(on.outcomes), len(off.outcomes))
    slow, fast = ([outcome.tpot_p50_s for outcome in found.outcomes[:count]] for found in (off, on))
    return paired_ratio(slow, fast)


def crossover_batch(on: Screening, off: Screening) -> tuple[int | None, int]:
    """Return the batch from which on a token takes longer with speculation, and the largest batch.

    Examples
    --------
    >>> off = Screening(batches=(1, 8, 64), token_s=(0.010, 0.011, 0.020))
    >>> on = Screening(batches=(1, 8, 64), token_s=(0.006, 0.009, 0.030))
    >>> crossover_batch(on, off), crossover_batch(off, off)
    ((18, 64), (1, 64))
    """
    batches = np.arange(1, min(on.batches[-1], off.batches[-1]) + 1)
    with_s, without_s = (np.interp(batches, one.batches, one.token_s) for one in (on, off))
    slower = with_s >= without_s
    largest = int(batches[-1])
    if not slower[-1]:
        return None, largest
    faster = np.flatnonzero(~slower)
    return (int(batches[faster[-1]]) + 1 if faster.size else 1), largest


def crossover_rate(pairs: Sequence[tuple[float, Interval]]) -> float | None:
    """Return the rate from which on speculation is slower, between rates that were simulated.

    Examples
    --------
    >>> crossover_rate([(1.0, Interval(1.5, None, None)), (3.0, Interval(0.5, None, None))])
    2.0
    """
    if not pairs or pairs[-1][1].value >= 1.0:
        return None
    faster = [at for at, (_, ratio) in enumerate(pairs) if ratio.value >= 1.0]
    if not faster:
        return pairs[0][0]
    (low, above), (high, below) = pairs[faster[-1]], pairs[faster[-1] + 1]
    return low + (high - low) * (above.value - 1.0) / (above.value - below.value)
