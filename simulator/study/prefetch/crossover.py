"""The crossover: from which batch on prefetching is useless, searched for, and made a switch.

With the batch rises the number of distinct experts that a step needs of a layer. What was used last
is then needed anyway, and a predictor has nothing to add (`study.prefetch.theory`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.predictor import ExpertPredictor
from simulator.streams import Streams
from simulator.study.prefetch.served import BEFORE, MOST, Measured, tpot_ratio
from simulator.trace.statistics import upper

_APART = 1.25
"""Ratio of batches beside the crossover at which a search ends."""

_STEPS = 64
"""Steps over which the chances that a predictor sums up are averaged."""


def crossover(found: Sequence[Measured], arm: str, traffic: str = BEFORE) -> int | None:
    """Return the least batch from which on an arm is no faster than on demand; None: it always is.

    An arm is faster where the whole interval of its paired ratio of medians lies below one.

    Parameters
    ----------
    found
        Runs.
    arm, traffic
        Which arm, and on what.

    Examples
    --------
    >>> from simulator.study.prefetch.served import Point
    >>> def runs(arm, times):
    ...     return [Measured(Point(arm, BEFORE, b, 0), t, t, t, 1.0) for b, t in times.items()]
    >>> on_demand = runs("on_demand", {1: 1.0, 2: 2.0, 4: 4.0})
    >>> crossover(on_demand + runs("ce", {1: 0.9, 2: 2.1, 4: 4.1}), "ce")
    2
    """
    ratios, useless = tpot_ratio(found, arm, traffic), None
    for batch in sorted(ratios, reverse=True):
        if upper(ratios[batch]) < 1.0:
            break
        useless = batch
    return useless


def search(
    serve: Callable[[Sequence[int]], list[Measured]], batches: Sequence[int], arm: str
) -> list[Measured]:
    """Serve some batches, and as many more as it takes to find the crossover of an arm.

    Beyond the largest, batches double, up to `MOST`; below the smallest they halve where it is
    useless already. Then the crossover is closed in on until the batch below it lies less than a
    quarter below, or is the next.

    Parameters
    ----------
    serve
        Runs all arms at some batches.
    batches
        To begin with.
    arm
        Whose crossover is wanted.
    """
    found = serve(batches)
    while following := _next(sorted({one.point.batch for one in found}), crossover(found, arm)):
        found += serve((following,))
    return found


def _next(served: Sequence[int], useless: int | None) -> int | None:
    """Return the batch to be served next; None where the search has ended."""
    if useless is None:
        return 2 * served[-1] if 2 * served[-1] <= MOST else None
    if useless == served[0]:
        return useless // 2 or None
    below = max(batch for batch in served if batch < useless)
    if useless - below <= 1 or useless <= _APART * below:
        return None
    middle = round(math.sqrt(below * useless))
    return min(max(middle, below + 1), useless - 1)


def with_switch(
    predictor: ExpertPredictor,
    features: NDArray[np.float64],
    steps: NDArray[np.int64],
    useful: int | None,
    useless: int | None,
) -> ExpertPredictor:
    """Return a predictor that is off where as many experts are expected as at its crossover.

    The switch lies in the middle of what is expected at the two batches beside the crossover.

    Parameters
    ----------
    predictor
        Without a switch.
    features, steps
        As in `predicted_distinct`.
    useful
        The largest batch below the crossover that was served; None: there is none, and it is off.
    useless
        The crossover; None: there is none, and it is never off.
    """
    if useless is None:
        return predictor
    if useful is None:
        return replace(predictor, most_distinct=0.0)
    below, at = (
        predicted_distinct(predictor, features, steps, batch) for batch in (useful, useless)
    )
    return replace(predictor, most_distinct=(below + at) / 2.0)


def predicted_distinct(
    predictor: ExpertPredictor,
    features: NDArray[np.float64],
    steps: NDArray[np.int64],
    batch: int,
) -> float:
    """Return the distinct experts of a step that a predictor expects at a batch, mean over layers.

    Parameters
    ----------
    predictor
        Who is asked.
    features
        Of the tokens of a pool, shape (tokens, d).
    steps
        Tokens of the steps of single requests (`replay.windows`).
    batch
        Requests, drawn from these.
    """
    draws = Streams(0).block("requests of a step", batch)
    needed = [
        predictor.needed(features[steps[draws.integers(len(steps), size=batch)].ravel()])
        for _ in range(_STEPS)
    ]
    return float(np.mean([one.sum(axis=1).mean() for one in needed]))


def check_batches(batches: Sequence[int]) -> None:
    """Refuse batches that are none, or not in order.

    Raises
    ------
    ConfigError
        If so.
    """
    rising = list(batches) == sorted(set(batches))
    if not batches or not rising or not 1 <= batches[0] <= batches[-1] <= MOST:
        given = ",".join(map(str, batches))
        raise ConfigError(f"batches={given} must be whole numbers from 1 to {MOST}, rising.")
