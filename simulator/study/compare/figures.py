"""The figures that are compared, one value per replication."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simulator.trace.arms import GROWS_WITH_QUEUE
from simulator.trace.latencies import LATENCIES, QUANTILES, enough, percentile
from simulator.trace.metrics import RunMetrics

Values = list[float | None]
"""One per replication."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Parameters
    ----------
    name, unit
        Name as in ``summary.json`` and its unit.
    get
        Its value in one run of an arm; None where there is none.
    better
        1 if more is better, -1 if less is.
    share
        Whether it is a share, compared by difference; others are by ratio.
    """

    name: str
    unit: str
    get: Callable[[RunMetrics], float | None]
    better: int
    share: bool = False


def figures(sides: Sequence[Sequence[RunMetrics]]) -> Iterator[Figure]:
    """Yield the figures that these runs have in common.

    A percentile beyond the median needs enough requests on both sides. Times that grow with the
    queue say nothing of a run that cannot keep up.

    Parameters
    ----------
    sides
        The replications of each side.
    """
    saturated = any(run.saturated for side in sides for run in side)
    for name in LATENCIES:
        if saturated and name in GROWS_WITH_QUEUE:
            continue
        for label, quantile in QUANTILES.items():
            counts = (sum(run.latencies[name].size for run in side) for side in sides)
            if label == "p50" or all(enough(count, quantile) for count in counts):
                get = _percentile(name, quantile)
                yield Figure(f"{name.removesuffix('_s')}_{label}", "s", get, -1)
    yield Figure("output_tokens_per_s", "1/s", lambda run: run.load.output_tokens_per_s, 1)
    yield Figure("goodput_per_s", "1/s", lambda run: run.goodput_per_s, 1)
    yield Figure("attainment", "1", lambda run: run.attainment, 1, share=True)
    yield Figure("acceptance_length", "tokens", lambda run: run.mean_acceptance_length, 1)


def _percentile(name: str, quantile: float) -> Callable[[RunMetrics], float | None]:
    return lambda run: percentile(run.latencies[name], quantile)
